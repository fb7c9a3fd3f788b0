// The JavaScript SDK against a server that plays faults: retries, time-outs, files, signatures.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as sdk from '../../../sdk/js/serveml/src/index.js';

const { ServeMLClient } = sdk;
const FAST = { maxRetries: 3, baseDelayMs: 5, maxDelayMs: 20 };
const PREDICTION = { prediction: 1, model_version: 'v1', response_time_ms: 0.1 };
const KEY = {
  id: 'key-1', name: 'k', prefix: 'mrk_', scopes: ['read'], key: 'mrk_secret', created_at: '2024-01-15T10:00:00Z',
};
const CREATED = { id: 'dep-1', name: 'm', status: 'building', version: 'v1', model_metadata: {} };

const error = (code, status, headers = {}) => [
  status,
  { error: { code, message: 'no', details: { a: 1 } }, request_id: 'req-fake' },
  headers,
];

/** Each request takes the next step, the last one repeats: [status, body, headers], 'drop' or 'hang'. */
async function fake(steps, run, options = {}) {
  const script = [...steps];
  const requests = [];
  const server = http.createServer(async (req, res) => {
    const parts = [];
    for await (const p of req) parts.push(p);
    requests.push({ method: req.method, url: req.url, headers: req.headers, body: Buffer.concat(parts) });
    const step = script.length > 1 ? script.shift() : script[0];
    if (step === 'drop') return req.socket.destroy();
    if (step === 'hang') return undefined;
    const text = typeof step[1] === 'string' ? step[1] : JSON.stringify(step[1]);
    res.writeHead(step[0], { 'Content-Type': 'application/json', ...step[2] });
    return res.end(text);
  });
  await new Promise((r) => server.listen(0, '127.0.0.1', r));
  const url = `http://127.0.0.1:${server.address().port}`;
  try {
    await run(new ServeMLClient({ apiKey: 'k'.repeat(20), baseUrl: url, retry: FAST, ...options }), requests, url);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test('429 waits for Retry-After', () =>
  fake([error('RATE_LIMITED', 429, { 'Retry-After': '1' }), [200, PREDICTION]], async (c, requests) => {
    const start = Date.now();
    assert.equal((await c.predict('dep-1', [1])).prediction, 1);
    assert.ok(Date.now() - start > 900);
    assert.equal(requests.length, 2);
  }));

test('a far Retry-After is given back', () =>
  fake([error('RATE_LIMITED', 429, { 'Retry-After': '3000' })], async (c, requests) => {
    await assert.rejects(c.predict('dep-1', [1]), (e) => {
      assert.ok(e instanceof sdk.RateLimitError && e instanceof sdk.APIError && e instanceof sdk.ServeMLError);
      assert.deepEqual([e.retryAfter, e.code, e.status, e.requestId], [3000, 'RATE_LIMITED', 429, 'req-fake']);
      assert.deepEqual([e.details, e.name, e.message], [{ a: 1 }, 'RateLimitError', 'no']);
      return true;
    });
    assert.equal(requests.length, 1);
  }));

for (const status of [500, 502, 503])
  test(`${status} is tried again`, () =>
    fake([error('SERVICE_ERROR', status), error('SERVICE_ERROR', status), [200, PREDICTION]], async (c, requests) => {
      assert.equal((await c.predict('dep-1', [1])).prediction, 1);
      assert.equal(requests.length, 3);
    }));

test('retries end', () =>
  fake([error('SERVICE_ERROR', 503)], async (c, requests) => {
    await assert.rejects(c.me(), sdk.ServerError);
    assert.equal(requests.length, 4);
  }));

for (const [code, status, kind] of [
  ['PREDICTION_ERROR', 500, 'PredictionError'],
  ['SERVICE_ERROR', 507, 'ServerError'],
  ['NOT_FOUND', 404, 'NotFoundError'],
  ['VALIDATION_ERROR', 422, 'ValidationError'],
  ['UNAUTHORIZED', 401, 'AuthenticationError'],
  ['FORBIDDEN', 403, 'PermissionDeniedError'],
])
  test(`${code} ${status} is not tried again`, () =>
    fake([error(code, status)], async (c, requests) => {
      await assert.rejects(c.predict('dep-1', [1]), sdk[kind]);
      assert.equal(requests.length, 1);
    }));

for (const [what, step, tries] of [
  ['a dropped connection', 'drop', 1],
  ['500', error('SERVICE_ERROR', 500), 1],
  ['503', error('SERVICE_ERROR', 503), 2],
  ['429', error('RATE_LIMITED', 429), 2],
])
  test(`what must not happen twice, after ${what}`, () =>
    fake([step, [201, KEY]], async (c, requests) => {
      if (tries === 2) assert.equal((await c.createApiKey({ name: 'k' })).key, 'mrk_secret');
      else await assert.rejects(c.createApiKey({ name: 'k' }), sdk.ServeMLError);
      assert.equal(requests.length, tries);
    }));

test('deploy is repeated with the same key and content', () =>
  fake(['drop', error('SERVICE_ERROR', 500), [200, CREATED]], async (c, requests) => {
    const files = { modelFile: Buffer.from('the model'), requirementsFile: new Blob(['numpy']) };
    assert.equal((await c.deploy({ ...files, name: 'm', wait: false })).id, 'dep-1');
    assert.equal(requests.length, 3);
    assert.equal(new Set(requests.map((r) => r.headers['idempotency-key'])).size, 1);
    assert.match(
      requests[0].headers['idempotency-key'],
      /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
    for (const r of requests) {
      assert.match(r.body.toString(), /name="model_file"; filename="model"[^]*the model/);
      assert.match(r.body.toString(), /name="requirements_file"; filename="requirements.txt"[^]*numpy/);
    }
  }));

test('a path is read from disk', () =>
  fake([[200, CREATED]], async (c, requests) => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-js-'));
    const path = join(folder, 'a.pkl');
    writeFileSync(path, 'from disk');
    await c.deploy({ modelFile: path, wait: false });
    rmSync(folder, { recursive: true });
    assert.match(requests[0].body.toString(), /filename="a.pkl"[^]*from disk/);
    await assert.rejects(c.deploy({ modelFile: path }));
    await assert.rejects(c.deploy({ modelFile: 5 }), TypeError);
    assert.equal(requests.length, 1);
  }));

test('time-outs', () =>
  fake(
    ['hang'],
    async (c, requests) => {
      const late = (e) => e instanceof sdk.APITimeoutError && e instanceof sdk.APIConnectionError;
      await assert.rejects(c.me(), late);
      assert.equal(requests.length, 2);
      await assert.rejects(c.predict('dep-1', [1], { timeoutMs: 200 }), late);
    },
    { timeoutMs: 1000, retry: { maxRetries: 1, baseDelayMs: 5 } },
  ));

test('the caller can abort', () =>
  fake(['hang'], async (c) => {
    const control = new AbortController();
    setTimeout(() => control.abort(new Error('enough')), 50);
    await assert.rejects(c.predict('dep-1', [1], { signal: control.signal }), /enough/);
  }));

test('a refused connection', async () => {
  const s = http.createServer();
  await new Promise((r) => s.listen(0, '127.0.0.1', r));
  const { port } = s.address();
  await new Promise((r) => s.close(r));
  const c = new ServeMLClient({ baseUrl: `http://127.0.0.1:${port}`, retry: { maxRetries: 0 } });
  await assert.rejects(c.status(), sdk.APIConnectionError);
});

test('not a ServeML server', async () => {
  await fake([[200, '<html>', { 'Content-Type': 'text/html' }]], async (c, requests) => {
    await assert.rejects(c.status(), /not JSON/);
    assert.equal(requests.length, 1);
  });
  await fake([[502, 'nope', { 'Content-Type': 'text/html' }]], async (c) => {
    await assert.rejects(c.createApiKey({ name: 'k' }), (e) => e instanceof sdk.ServerError && /nope/.test(e.message));
  });
});

test('waiting: failure, a failed next version, giving up', async () => {
  const modelFile = Buffer.from('x');
  const failed = { ...CREATED, status: 'failed', error: 'refused' };
  await fake([[200, CREATED], [200, CREATED], [200, failed]], (c) =>
    assert.rejects(c.deploy({ modelFile }), (e) => {
      assert.ok(e instanceof sdk.DeploymentFailed);
      assert.deepEqual([e.message, e.deploymentId, e.code], ['refused', 'dep-1', 'DEPLOYMENT_FAILED']);
      return true;
    }),
  );
  const v = { created_at: '2024-01-15T10:00:00Z', is_current: false, changes: '' };
  const versions = {
    versions: [
      { ...v, version: 'v2', status: 'failed', error: 'too old' },
      { ...v, version: 'v1', status: 'active' },
    ],
  };
  const serving = { ...CREATED, status: 'active' };
  await fake([[200, { ...CREATED, version: 'v2' }], [200, serving], [200, versions]], (c) =>
    assert.rejects(c.deploy({ modelFile, name: 'm' }), /too old/),
  );
  await fake([[200, CREATED]], (c) =>
    assert.rejects(c.deploy({ modelFile, waitTimeoutMs: 100 }), sdk.WaitTimeoutError),
  );
});

test('missing values, typed arrays and infinities', () =>
  fake([[200, PREDICTION]], async (c, requests) => {
    await c.predict('dep-1', [NaN, null, 2]);
    await c.predict('dep-1', [new Float64Array([1, NaN]), new Float32Array([0.5])]);
    assert.deepEqual(JSON.parse(requests[0].body), { data: [null, null, 2] });
    assert.deepEqual(JSON.parse(requests[1].body), { data: [[1, null], [0.5]] });
    await assert.rejects(c.predict('dep-1', [Infinity]), RangeError);
    assert.equal(requests.length, 2);
  }));

test('ids cannot change the path', () =>
  fake([[200, PREDICTION]], async (c, requests) => {
    await c.predict('../x?y', [1]);
    assert.equal(requests[0].url, '/api/v1/predict/..%2Fx%3Fy');
    await assert.rejects(c.predict('', [1]), TypeError);
  }));

test('environment and base URL', () =>
  fake([[200, PREDICTION]], async (_, requests, url) => {
    const before = process.env.MILLRACE_URL;
    process.env.MILLRACE_URL = url + '/prefix/';
    process.env.MILLRACE_KEY = 'from-the-environment';
    await new ServeMLClient().predict('dep-1', [1]);
    await new ServeMLClient({ apiKey: 'given' }).predict('dep-1', [1]);
    delete process.env.MILLRACE_KEY;
    if (before === undefined) delete process.env.MILLRACE_URL;
    else process.env.MILLRACE_URL = before;
    assert.equal(requests[0].url, '/prefix/api/v1/predict/dep-1');
    assert.deepEqual(
      requests.map((r) => r.headers.authorization),
      ['Bearer from-the-environment', 'Bearer given'],
    );
    for (const baseUrl of ['ftp://x', 'http://u:p@x', 'http://x/?q=1', 'nonsense'])
      assert.throws(() => new ServeMLClient({ baseUrl }), TypeError);
  }));

test('signatures', async () => {
  // A worked example of the Standard Webhooks specification.
  const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
  const body = '{"test": 2432232314}';
  const headers = {
    'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  };
  const at = { now: 1614265330 };
  assert.deepEqual(await sdk.verifySignature(body, headers, secret, at), { test: 2432232314 });
  assert.deepEqual(await sdk.verifySignature(Buffer.from(body), new Headers(headers), secret, at), { test: 2432232314 });
  for (const change of [
    { 'webhook-id': 'other' },
    { 'webhook-timestamp': '1614265331' },
    { 'webhook-timestamp': 'x' },
    { 'webhook-signature': 'v1,AAAA' },
    { 'webhook-signature': '' },
  ])
    await assert.rejects(sdk.verifySignature(body, { ...headers, ...change }, secret, at), sdk.SignatureError);
  await assert.rejects(sdk.verifySignature(body + ' ', headers, secret, at), sdk.SignatureError);
  await assert.rejects(sdk.verifySignature(body, headers, secret, { now: 1614265330 + 301 }), /old/);
  await assert.rejects(sdk.verifySignature(body, headers, '', at), sdk.SignatureError);
});

test('the CommonJS build is the same', async () => {
  const cjs = createRequire(import.meta.url)('../../../sdk/js/serveml/dist/index.cjs');
  assert.deepEqual(Object.keys(cjs).sort(), Object.keys(sdk).sort());
  await fake([[200, PREDICTION]], async (_, requests, url) => {
    assert.equal((await new cjs.ServeMLClient({ baseUrl: url }).predict('dep-1', [1])).prediction, 1);
    assert.equal(requests.length, 1);
  });
});
