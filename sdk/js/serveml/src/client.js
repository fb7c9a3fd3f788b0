// The client and the deployment that it hands out.
import {
  APIConnectionError, APITimeoutError, DeploymentFailed, NotFoundError, ServeMLError, WaitTimeoutError, errorFromReply,
} from './errors.js';
import { ONCE, Transport, sleep, toFile } from './http.js';
import {
  toApiKey, toConfiguration, toDelivery, toInvitation, toMember, toMetadata, toMetrics, toPrediction, toRollback,
  toSummary, toTestResult, toToken, toUser, toVersion, toWebhook,
} from './models.js';
import { randomId } from './webhooks.js';

const errors = { ClientError: ServeMLError, APIConnectionError, APITimeoutError, errorFromReply };
const env = (name) => globalThis.process?.env?.[name] || undefined;

function id(text) {
  if (!text) throw new TypeError('the id is empty');
  return encodeURIComponent(text);
}

/** A deployment as the server last described it; refresh() asks again. */
export class Deployment {
  #client;

  constructor(client, raw) {
    this.#client = client;
    this.raw = raw;
  }

  get id() {
    return this.raw.id;
  }
  get name() {
    return this.raw.name;
  }
  /** building, active, updating, failed or deleted */
  get status() {
    return this.raw.status;
  }
  get version() {
    return this.raw.version ?? '';
  }
  /** Why it failed, or ''. */
  get error() {
    return this.raw.error ?? '';
  }
  get createdAt() {
    return this.raw.created_at ? new Date(this.raw.created_at) : null;
  }
  get updatedAt() {
    return this.raw.updated_at ? new Date(this.raw.updated_at) : null;
  }
  get endpointUrl() {
    return this.raw.endpoint_url ?? '';
  }
  get modelMetadata() {
    return toMetadata(this.raw.model_metadata ?? {});
  }
  get configuration() {
    return this.raw.configuration ? toConfiguration(this.raw.configuration) : null;
  }
  get metricsSummary() {
    return this.raw.metrics_summary ? toSummary(this.raw.metrics_summary) : null;
  }

  predict(data, options) {
    return this.#client.predict(this.id, data, options);
  }
  test(data) {
    return this.#client.testModel(this.id, data);
  }
  getMetrics(options) {
    return this.#client.getMetrics(this.id, options);
  }
  async refresh() {
    this.raw = (await this.#client.getDeployment(this.id)).raw;
    return this;
  }
  async update(changes) {
    this.raw = { ...this.raw, ...(await this.#client.updateDeployment(this.id, changes)).raw };
    return this;
  }
  delete() {
    return this.#client.deleteDeployment(this.id);
  }
  versions() {
    return this.#client.listVersions(this.id);
  }
  async rollback(version) {
    const answer = await this.#client.rollback(this.id, version);
    await this.refresh();
    return answer;
  }

  /** Waits for this version. Throws DeploymentFailed or WaitTimeoutError. */
  async waitUntilActive({ timeoutMs = 300000, signal } = {}) {
    const want = this.version;
    const end = Date.now() + timeoutMs;
    for (let pause = 20; ; pause = Math.min(pause * 1.5, 1000)) {
      const now = await this.#client.getDeployment(this.id, { signal });
      const serves = now.status === 'active' || now.status === 'updating';
      if (now.status === 'failed') throw this.#failed(now.error);
      if (now.status === 'deleted') throw this.#failed('the deployment was deleted');
      if (serves && (!want || now.version === want)) {
        this.raw = now.raw;
        return this;
      }
      if (serves) {
        // The version before this one still serves, or a newer one already does.
        const v = (await now.versions()).find((x) => x.version === want);
        if (v?.status === 'failed') throw this.#failed(v.error);
        if (v && v.status !== 'building') {
          this.raw = now.raw;
          return this;
        }
      }
      if (Date.now() + pause > end)
        throw new WaitTimeoutError(`${this.id} is still ${now.status} after ${timeoutMs} ms`, this.id);
      await sleep(pause, signal);
    }
  }

  #failed(reason) {
    return new DeploymentFailed(reason || 'the deployment failed', {
      code: 'DEPLOYMENT_FAILED',
      details: { deployment_id: this.id, version: this.version },
    });
  }
}

export class ServeMLClient {
  #http;

  constructor({ apiKey, baseUrl, timeoutMs = 60000, retry, fetch } = {}) {
    this.apiKey = apiKey ?? env('MILLRACE_KEY');
    const url = baseUrl ?? env('MILLRACE_URL') ?? 'http://127.0.0.1:8080';
    this.#http = new Transport({ baseUrl: url, timeoutMs, retry, fetch, errors, service: 'ServeML' });
  }

  get baseUrl() {
    return this.#http.baseUrl;
  }

  #call(method, path, options) {
    return this.#http.request(method, path, { token: this.apiKey, ...options });
  }

  // --- accounts ---

  /** Makes a user and signs this client in as that user. */
  async register({ email, username, password, fullName, invitation }) {
    const body = { email, username, password, full_name: fullName, invitation };
    const token = toToken(await this.#call('POST', '/api/v1/auth/register', { body, kind: ONCE }));
    this.apiKey = token.accessToken;
    return token;
  }

  /** Signs this client in. */
  async login({ email, password }) {
    const token = toToken(await this.#call('POST', '/api/v1/auth/login', { body: { email, password } }));
    this.apiKey = token.accessToken;
    return token;
  }

  async me() {
    return toUser(await this.#call('GET', '/api/v1/auth/me'));
  }

  /** The answer's `key` is the secret; the server never shows it again. */
  async createApiKey({ name, scopes, rateLimitPerMinute, monthlyBudgetUsd, expiresInDays }) {
    const body = {
      name,
      scopes,
      rate_limit_per_minute: rateLimitPerMinute,
      monthly_budget_usd: monthlyBudgetUsd,
      expires_in_days: expiresInDays,
    };
    return toApiKey(await this.#call('POST', '/api/v1/auth/api-keys', { body, kind: ONCE }));
  }

  async listApiKeys() {
    return (await this.#call('GET', '/api/v1/auth/api-keys')).items.map(toApiKey);
  }

  async revokeApiKey(keyId) {
    await this.#call('DELETE', `/api/v1/auth/api-keys/${id(keyId)}`);
  }

  async listMembers() {
    return (await this.#call('GET', '/api/v1/account/members')).items.map(toMember);
  }

  async inviteMember({ email, role = 'member' }) {
    return toInvitation(await this.#call('POST', '/api/v1/account/members', { body: { email, role }, kind: ONCE }));
  }

  async removeMember(userId) {
    await this.#call('DELETE', `/api/v1/account/members/${id(userId)}`);
  }

  // --- deployments ---

  /**
   * Uploads a model file and waits until it serves. Throws DeploymentFailed with the reason. The
   * upload carries an Idempotency-Key, so that it can be repeated when the connection breaks.
   */
  async deploy({
    modelFile, modelFileName, requirementsFile, name, memory, timeout, changes, idempotencyKey,
    wait = true, waitTimeoutMs = 300000, uploadTimeoutMs = 0, signal,
  }) {
    const model = await toFile(modelFile, 'model');
    const requirements =
      requirementsFile === undefined || requirementsFile === null
        ? null
        : await toFile(requirementsFile, 'requirements.txt');
    const form = () => {
      const f = new FormData();
      for (const [k, v] of Object.entries({ name, memory, timeout, changes }))
        if (v !== undefined && v !== null) f.append(k, String(v));
      if (requirements) f.append('requirements_file', requirements.blob, requirements.name);
      f.append('model_file', model.blob, modelFileName ?? model.name);
      return f;
    };
    const headers = { 'Idempotency-Key': idempotencyKey ?? (await randomId()) };
    const options = { form, headers, timeoutMs: uploadTimeoutMs, signal };
    const deployment = new Deployment(this, await this.#call('POST', '/api/v1/deploy', options));
    return wait ? deployment.waitUntilActive({ timeoutMs: waitTimeoutMs, signal }) : deployment;
  }

  /** One page; iterDeployments() goes through all of them. */
  async listDeployments({ limit, offset, status, framework, search } = {}) {
    const query = { limit, offset, status, framework, search };
    const d = await this.#call('GET', '/api/v1/deployments', { query });
    return { items: d.items.map((x) => new Deployment(this, x)), total: d.total, limit: d.limit, offset: d.offset };
  }

  async *iterDeployments({ pageSize = 100, ...filter } = {}) {
    const seen = new Set();
    for (let offset = 0; ; ) {
      const page = await this.listDeployments({ ...filter, limit: pageSize, offset });
      for (const d of page.items) {
        // A deployment made meanwhile shifts the pages: nothing is given out twice.
        if (!seen.has(d.id)) yield d;
        seen.add(d.id);
      }
      offset += page.items.length;
      if (!page.items.length || offset >= page.total) return;
    }
  }

  async getDeployment(deploymentId, { signal } = {}) {
    return new Deployment(this, await this.#call('GET', `/api/v1/deployments/${id(deploymentId)}`, { signal }));
  }

  /** The deployment of exactly this name. Throws NotFoundError. */
  async findDeployment(name) {
    for await (const d of this.iterDeployments({ search: name }))
      if (d.name === name && d.status !== 'deleted') return d;
    throw new NotFoundError(`no deployment is named ${name}`, { status: 404, code: 'NOT_FOUND' });
  }

  async updateDeployment(deploymentId, { name, memoryMb, timeoutSeconds, minInstances, maxInstances }) {
    const body = {
      name,
      memory_mb: memoryMb,
      timeout_seconds: timeoutSeconds,
      min_instances: minInstances,
      max_instances: maxInstances,
    };
    return new Deployment(this, await this.#call('PATCH', `/api/v1/deployments/${id(deploymentId)}`, { body }));
  }

  async deleteDeployment(deploymentId) {
    await this.#call('DELETE', `/api/v1/deployments/${id(deploymentId)}`);
  }

  /** Newest first. */
  async listVersions(deploymentId) {
    return (await this.#call('GET', `/api/v1/deployments/${id(deploymentId)}/versions`)).versions.map(toVersion);
  }

  async rollback(deploymentId, version) {
    const path = `/api/v1/deployments/${id(deploymentId)}/rollback`;
    return toRollback(await this.#call('POST', path, { body: { version }, kind: ONCE }));
  }

  // --- predictions and figures ---

  /** data: a row, a list of rows, an object by feature name, or a list of those. */
  async predict(deploymentId, data, { userId, timeoutMs, signal } = {}) {
    const options = { body: { data, user_id: userId }, timeoutMs, signal };
    return toPrediction(await this.#call('POST', `/api/v1/predict/${id(deploymentId)}`, options));
  }

  /** One prediction that is not counted. */
  async testModel(deploymentId, data) {
    return toTestResult(await this.#call('POST', '/api/v1/test-model', { body: { deployment_id: deploymentId, data } }));
  }

  async getMetrics(deploymentId, { hours, resolution } = {}) {
    return toMetrics(await this.#call('GET', `/api/v1/metrics/${id(deploymentId)}`, { query: { hours, resolution } }));
  }

  // --- webhooks ---

  /** Without a secret the server makes one: the answer's `secret`, shown once. */
  async createWebhook({ url, events, secret }) {
    return toWebhook(await this.#call('POST', '/api/v1/webhooks', { body: { url, events, secret }, kind: ONCE }));
  }

  async listWebhooks() {
    return (await this.#call('GET', '/api/v1/webhooks')).items.map(toWebhook);
  }

  async getWebhook(webhookId) {
    return toWebhook(await this.#call('GET', `/api/v1/webhooks/${id(webhookId)}`));
  }

  async deleteWebhook(webhookId) {
    await this.#call('DELETE', `/api/v1/webhooks/${id(webhookId)}`);
  }

  /** Queues a test event; returns the delivery's id. */
  async testWebhook(webhookId) {
    return (await this.#call('POST', `/api/v1/webhooks/${id(webhookId)}/test`, { kind: ONCE })).delivery_id;
  }

  /** Newest first. */
  async listDeliveries(webhookId, { limit, offset } = {}) {
    const d = await this.#call('GET', `/api/v1/webhooks/${id(webhookId)}/deliveries`, { query: { limit, offset } });
    return { items: d.items.map(toDelivery), total: d.total };
  }

  /** Delivers once more; returns the new delivery's id. */
  async replayDelivery(webhookId, deliveryId) {
    const path = `/api/v1/webhooks/${id(webhookId)}/deliveries/${id(deliveryId)}/replay`;
    return (await this.#call('POST', path, { kind: ONCE })).delivery_id;
  }

  // --- state ---

  status() {
    return this.#call('GET', '/api/v1/status');
  }

  async health() {
    const d = await this.#call('GET', '/');
    return { ...d, timestamp: new Date(d.timestamp) };
  }
}
