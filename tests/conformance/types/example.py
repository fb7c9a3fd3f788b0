"""Checked, never run: the declared types fit the way the client is used."""
from typing import List, Optional

from serveml import APIError, Client, Deployment, Metrics, Prediction, RetryPolicy, Version

client = Client(api_key="your-api-key", retry=RetryPolicy(max_retries=1))
deployment: Deployment = client.deploy(model_path="model.pkl", requirements_path=None, name="m")
result: Prediction = deployment.predict([5.1, 3.5, 1.4, 0.2])
probabilities: Optional[List[object]] = result.probabilities
metrics: Metrics = deployment.get_metrics(hours=24)
total: int = metrics.request_count
versions: List[Version] = deployment.versions()
names: List[str] = [d.name for d in client.iter_deployments(status="active")]
try:
    deployment.rollback(versions[0].version)
except APIError as e:
    code: str = e.code
