// The JavaScript SDK against the real server: every call of the API.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { test } from 'node:test';
import * as sdk from '../../../sdk/js/serveml/src/index.js';

const { ServeMLClient } = sdk;
const IRIS = process.env.TEST_MODEL;
const ROW = [5.1, 3.5, 1.4, 0.2];
const BATCH = [ROW, [6.2, 3.4, 5.4, 2.3], [4.9, 3.0, 1.4, 0.2]];
let count = 0;

async function user() {
  const name = `j${process.pid}x${Date.now()}x${count++}`;
  const client = new ServeMLClient({ apiKey: '' });
  const email = `${name}@example.com`;
  const token = await client.register({ email, username: name, password: 'secure-password', fullName: 'A User' });
  assert.equal(token.user.username, name);
  return { client, email, name };
}

test('deploy, predict, metrics', async () => {
  const { client } = await user();
  const d = await client.deploy({ modelFile: IRIS, requirementsFile: Buffer.from('scikit-learn\n'), name: 'iris' });
  assert.deepEqual([d.status, d.version, d.name], ['active', 'v1', 'iris']);
  assert.equal(d.modelMetadata.modelType, 'RandomForestClassifier');
  assert.deepEqual(d.modelMetadata.inputShape, [4]);
  assert.equal(d.configuration.memoryMb, 1024);
  assert.ok(d.endpointUrl.endsWith(`/api/v1/predict/${d.id}`));
  assert.ok(d.createdAt instanceof Date && d.updatedAt >= d.createdAt);
  const one = await d.predict(ROW, { userId: 'someone' });
  assert.deepEqual([one.prediction, one.probabilities.length, one.isBatch, one.predictions], [0, 3, false, [0]]);
  assert.ok(one.responseTimeMs > 0 && one.modelVersion === 'v1');
  const many = await d.predict(BATCH);
  assert.deepEqual([many.predictions, many.batchSize, many.isBatch, many.prediction], [[0, 2, 0], 3, true, undefined]);
  const tested = await d.test(ROW);
  assert.equal(tested.prediction, 0);
  assert.equal(tested.featuresRead.length, 4);
  const m = await d.getMetrics({ hours: 24 });
  assert.deepEqual([m.requestCount, m.errorCount, m.deploymentId], [2, 0, d.id]);
  assert.ok(m.avgLatencyMs > 0 && m.p99LatencyMs >= m.p95LatencyMs && m.period.end > m.period.start);
  assert.equal(m.timeSeries.requestCounts.reduce((a, b) => a + b), 2);
  assert.deepEqual(Object.keys(m.costEstimate.breakdown).sort(), ['compute', 'network', 'storage']);
  assert.equal((await d.refresh()).metricsSummary.totalPredictions, 2);
});

test('versions, rollback, update, delete', async () => {
  const { client } = await user();
  const d = await client.deploy({ modelFile: readFileSync(IRIS), name: 'iris' });
  const two = await client.deploy({ modelFile: new Blob([readFileSync(IRIS)]), name: 'iris', changes: 'more data' });
  assert.deepEqual([two.id, two.version], [d.id, 'v2']);
  const versions = await d.versions();
  assert.deepEqual(versions.map((v) => [v.version, v.isCurrent]), [['v2', true], ['v1', false]]);
  assert.equal(versions[0].changes, 'more data');
  const back = await d.rollback('v1');
  assert.deepEqual([back.version, back.previousVersion, d.version], ['v1', 'v2', 'v1']);
  await d.update({ name: 'renamed', memoryMb: 2048, timeoutSeconds: 60, minInstances: 1, maxInstances: 20 });
  assert.deepEqual([d.name, d.status], ['renamed', 'updating']);
  const want = { memoryMb: 2048, timeoutSeconds: 60, minInstances: 1, maxInstances: 20 };
  assert.deepEqual((await d.refresh()).configuration, want);
  assert.equal((await client.findDeployment('renamed')).id, d.id);
  await d.delete();
  await assert.rejects(d.predict(ROW), sdk.NotFoundError);
  assert.deepEqual((await client.listDeployments({ status: 'deleted' })).items.map((x) => x.id), [d.id]);
});

test('pages', async () => {
  const { client } = await user();
  const made = [];
  for (let i = 0; i < 3; i++) made.push((await client.deploy({ modelFile: IRIS, name: `m${i}` })).id);
  const page = await client.listDeployments({ limit: 2, offset: 1 });
  assert.deepEqual([page.items.length, page.total, page.limit, page.offset], [2, 3, 2, 1]);
  const seen = [];
  for await (const d of client.iterDeployments({ pageSize: 2 })) seen.push(d.id);
  assert.deepEqual(seen.sort(), made.sort());
});

test('errors carry code, reason and request id', async () => {
  const { client } = await user();
  await assert.rejects(client.deploy({ modelFile: Buffer.from('no model'), name: 'junk' }), (e) => {
    assert.ok(e instanceof sdk.DeploymentFailed && e.message && e.requestId);
    assert.deepEqual([e.code, e.status], ['DEPLOYMENT_FAILED', 400]);
    assert.match(e.deploymentId, /^dep-/);
    return true;
  });
  await assert.rejects(client.getDeployment('dep-abc123'), (e) => e instanceof sdk.NotFoundError && e.requestId !== '');
  await assert.rejects(
    client.listDeployments({ limit: 1000 }),
    (e) => e instanceof sdk.ValidationError && e.details.field === 'limit',
  );
  await assert.rejects(new ServeMLClient({ apiKey: 'mrk_wrong' }).me(), sdk.AuthenticationError);
});

test('idempotency', async () => {
  const { client } = await user();
  const a = await client.deploy({ modelFile: IRIS, idempotencyKey: 'same' });
  const b = await client.deploy({ modelFile: IRIS, idempotencyKey: 'same' });
  assert.equal(a.id, b.id);
});

test('account', async () => {
  const { client, email, name } = await user();
  assert.equal((await client.me()).fullName, 'A User');
  const token = await client.login({ email, password: 'secure-password' });
  assert.deepEqual([token.accessToken, token.user], [client.apiKey, null]);
  await assert.rejects(client.login({ email, password: 'wrong-password' }), sdk.AuthenticationError);
  const limits = { rateLimitPerMinute: 100, monthlyBudgetUsd: 1.5, expiresInDays: 7 };
  const key = await client.createApiKey({ name: 'ci', scopes: ['read'], ...limits });
  assert.deepEqual([key.scopes, key.rateLimitPerMinute, key.monthlyBudgetUsd], [['read'], 100, 1.5]);
  const reader = new ServeMLClient({ apiKey: key.key });
  assert.equal((await reader.listDeployments()).total, 0);
  await assert.rejects(reader.deploy({ modelFile: IRIS }), sdk.PermissionDeniedError);
  assert.deepEqual((await client.listApiKeys()).map((k) => [k.id, k.key]), [[key.id, undefined]]);
  await client.revokeApiKey(key.id);
  await assert.rejects(reader.me(), sdk.AuthenticationError);
  const guest = `g${name}`;
  const { invitation } = await client.inviteMember({ email: `${guest}@example.com`, role: 'viewer' });
  const other = new ServeMLClient();
  await other.register({ email: `${guest}@example.com`, username: guest, password: 'secure-password', invitation });
  const member = (await client.listMembers()).find((m) => m.username === guest);
  assert.equal(member.role, 'viewer');
  await client.removeMember(member.userId);
  assert.equal((await client.listMembers()).length, 1);
});

test('webhooks', async () => {
  const { client } = await user();
  const calls = [];
  const receiver = http.createServer(async (req, res) => {
    const parts = [];
    for await (const p of req) parts.push(p);
    calls.push([req.headers, Buffer.concat(parts)]);
    res.end();
  });
  const arrived = async (n) => {
    for (let i = 0; calls.length < n && i < 400; i++) await new Promise((r) => setTimeout(r, 50));
    assert.equal(calls.length, n);
  };
  await new Promise((r) => receiver.listen(0, '127.0.0.1', r));
  try {
    const url = `http://127.0.0.1:${receiver.address().port}/hook`;
    const hook = await client.createWebhook({ url, events: ['deployment.ready'] });
    const d = await client.deploy({ modelFile: IRIS });
    await arrived(1);
    const event = await sdk.verifySignature(calls[0][1], calls[0][0], hook.secret);
    assert.deepEqual([event.event, event.data.deployment_id], ['deployment.ready', d.id]);
    await assert.rejects(sdk.verifySignature(calls[0][1], calls[0][0], 'another'), sdk.SignatureError);
    assert.match(await client.testWebhook(hook.id), /^dlv-/);
    await arrived(2);
    const deliveries = await client.listDeliveries(hook.id);
    assert.equal(deliveries.total, 2);
    await client.replayDelivery(hook.id, deliveries.items[1].id);
    await arrived(3);
    assert.deepEqual((await client.listWebhooks()).map((w) => w.id), [hook.id]);
    assert.equal((await client.getWebhook(hook.id)).status, 'active');
    await client.deleteWebhook(hook.id);
    assert.deepEqual(await client.listWebhooks(), []);
  } finally {
    receiver.closeAllConnections();
    receiver.close();
  }
});

test('status and health', async () => {
  const client = new ServeMLClient();
  assert.equal((await client.status()).api, 'operational');
  const health = await client.health();
  assert.ok(health.status === 'healthy' && health.timestamp instanceof Date);
});
