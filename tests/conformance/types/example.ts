// Compiled, never run: the declared types fit the way the client is used.
import { ServeMLClient, APIError, DeploymentFailed, verifySignature } from '@serveml/client';
import type { Metrics, Prediction, Version } from '@serveml/client';

const client = new ServeMLClient({ apiKey: 'your-api-key', retry: { maxRetries: 1 } });
const deployment = await client.deploy({
  modelFile: new Uint8Array(3),
  requirementsFile: new Blob(['numpy']),
  name: 'my-model',
});
const result: Prediction = await deployment.predict([5.1, 3.5, 1.4, 0.2]);
console.log(result.prediction, result.responseTimeMs.toFixed(3));
const metrics: Metrics = await deployment.getMetrics({ hours: 24, resolution: '1h' });
const spent: number = metrics.costEstimate.totalUsd + metrics.timeSeries.timestamps[0].getTime();
const versions: Version[] = await deployment.versions();
for await (const d of client.iterDeployments({ status: 'active' })) console.log(d.id, d.configuration?.memoryMb, spent);
try {
  await deployment.rollback(versions[0].version);
} catch (e) {
  if (e instanceof DeploymentFailed) console.log(e.deploymentId);
  else if (e instanceof APIError) console.log(e.code, e.requestId, e.retryAfter ?? 0);
}
const event = await verifySignature('{}', new Headers(), 'secret', { toleranceSeconds: 60 });
console.log(event.event, event.data);

// @ts-expect-error: no such status
await client.listDeployments({ status: 'odd' });
// @ts-expect-error: a deployment comes from the client only
new Deployment();
// @ts-expect-error: the model is required
await client.deploy({ name: 'x' });
