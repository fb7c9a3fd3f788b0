import { ServeMLClient } from '@serveml/client';

// Initialize client
const client = new ServeMLClient({ apiKey: 'your-api-key' });

// Deploy model
const deployment = await client.deploy({
  modelFile: modelBuffer,
  requirementsFile: reqBuffer,
  name: 'my-model'
});

// Make prediction
const result = await deployment.predict([5.1, 3.5, 1.4, 0.2]);
console.log(result.prediction);
