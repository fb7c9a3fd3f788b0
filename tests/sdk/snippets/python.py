from serveml import Client

# Initialize client
client = Client(api_key="your-api-key")

# Deploy model
deployment = client.deploy(
    model_path="model.pkl",
    requirements_path="requirements.txt",
    name="my-model"
)

# Make prediction
result = deployment.predict([5.1, 3.5, 1.4, 0.2])
print(result.prediction)

# Get metrics
metrics = deployment.get_metrics(hours=24)
print(f"Total predictions: {metrics.request_count}")
