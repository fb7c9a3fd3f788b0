# Deploy model
curl -X POST https://api.serveml.com/api/v1/deploy \
  -H "Authorization: Bearer $TOKEN" \
  -F "model_file=@model.pkl" \
  -F "requirements_file=@requirements.txt" \
  -F "name=iris-classifier"

# Make prediction
curl -X POST https://api.serveml.com/api/v1/predict/dep-abc123 \
  -H "Authorization: Bearer $TOKEN" \
  -H "Content-Type: application/json" \
  -d '{"data": [5.1, 3.5, 1.4, 0.2]}'
