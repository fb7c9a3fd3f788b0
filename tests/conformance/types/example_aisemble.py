"""Checked, never run: the declared types fit the way the aisemble client is used."""
from aisemble import Client

client = Client(base_url="https://your-domain.com/api/v2", api_key="your_api_key")
response = client.llm.generate(prompt="Explain quantum computing", model="gpt-3.5-turbo", max_tokens=500)
print(response.generated_text)
for event in client.llm.chat([{"role": "user", "content": "Hi"}], stream=True, idempotency_key="k-1"):
    print(event)
client.vision.analyze(b"...", ["object_detection"], idempotency_key="k-2")
client.nlp.embeddings(["a", "b"], model="all-minilm-l6-v2")
job = client.jobs.create(service="nlp", parameters={"inputs": ["Great."]}, priority="normal")
