// The client and its services. Replies are the API's JSON as it is.
import {
  APIConnectionError, APITimeoutError, AiSembleError, JobFailed, WaitTimeoutError, errorFromReply,
} from './errors.js';
import { ONCE, SAFE, Transport, sleep, toFile } from './http.js';

const errors = { ClientError: AiSembleError, APIConnectionError, APITimeoutError, errorFromReply };
const env = (name) => globalThis.process?.env?.[name] || undefined;
const PAGE = 100;

function id(text) {
  if (!text) throw new TypeError('the id is empty');
  return encodeURIComponent(text);
}

/** Options as JavaScript names them (maxTokens) to the API's members (max_tokens); others as they are. */
function members(options) {
  const out = {};
  for (const [k, v] of Object.entries(options ?? {}))
    if (v !== undefined && k !== 'stream' && k !== 'signal' && k !== 'idempotencyKey')
      out[k.replace(/[A-Z]/g, (c) => '_' + c.toLowerCase())] = v instanceof Date ? v.toISOString() : v;
  return out;
}

/** A key makes a repeated call get the first one's answer, paid once; so it may be repeated at will. */
function keyed({ idempotencyKey, signal }, kind = SAFE) {
  if (!idempotencyKey) return { kind, signal };
  return { kind: SAFE, signal, headers: { 'Idempotency-Key': idempotencyKey } };
}

class Service {
  constructor(client) {
    this.client = client;
  }
  get(path, query, options) {
    return this.client.request('GET', path, { query, ...options });
  }
  post(path, body, options) {
    return this.client.request('POST', path, { body, ...options });
  }
  async *streamed(path, body, signal) {
    for await (const data of this.client.events(path, { ...body, stream: true }, { signal })) {
      const event = JSON.parse(data);
      if (event.error) throw errorFromReply(500, event, '', '');
      yield event;
    }
  }
}

class LLM extends Service {
  /** { prompt, model, maxTokens, temperature, parameters, raw, stream, signal, idempotencyKey }; stream: an async iterable of events. */
  generate(options) {
    if (options.stream) return this.streamed('/ai/llm/generate', members(options), options.signal);
    return this.post('/ai/llm/generate', members(options), keyed(options, ONCE));
  }
  /** { messages, model, maxTokens, temperature, parameters, stream, signal, idempotencyKey } */
  chat(options) {
    if (options.stream) return this.streamed('/ai/llm/chat', members(options), options.signal);
    return this.post('/ai/llm/chat', members(options), keyed(options, ONCE));
  }
  async models() {
    return (await this.get('/ai/llm/models')).models;
  }
}

class Vision extends Service {
  async send(path, { image, signal, idempotencyKey, ...options }) {
    const { blob, name } = await toFile(image, 'image');
    const form = () => {
      const f = new FormData();
      f.set('image', blob, name);
      for (const [k, v] of Object.entries(members(options))) f.set(k, typeof v === 'object' ? JSON.stringify(v) : String(v));
      return f;
    };
    return this.client.request('POST', path, { form, ...keyed({ idempotencyKey, signal }) });
  }
  /** { image, analysisType, model }: object_detection, text_extraction, scene_analysis; default: all. */
  analyze(options) {
    return this.send('/ai/vision/analyze', options);
  }
  /** { image, model, topK } */
  classify(options) {
    return this.send('/ai/vision/classify', options);
  }
}

class NLP extends Service {
  /** { text, analysisTypes, language } */
  analyze(options) {
    return this.post('/ai/nlp/analyze', members(options), keyed(options));
  }
  /** { text, maxLength, minLength, model } */
  summarize(options) {
    return this.post('/ai/nlp/summarize', members(options), keyed(options));
  }
  /** { texts, model } */
  embeddings({ texts, ...options }) {
    return this.post('/ai/nlp/embeddings', { input: texts, ...members(options) }, keyed(options));
  }
}

class Jobs extends Service {
  /** { name, type, service, parameters, priority, scheduledAt, cron, idempotencyKey } */
  create({ idempotencyKey, parameters, ...options }) {
    const body = { type: 'batch_processing', ...members(options), parameters };
    return this.post('/jobs', body, keyed({ idempotencyKey, signal: options.signal }, ONCE));
  }
  /** An input file (JSONL, CSV, zip of images) for parameters.input_file. */
  async upload(source, fileName) {
    const { blob, name } = await toFile(source, 'input.jsonl');
    const form = () => {
      const f = new FormData();
      f.set('file', blob, fileName ?? name);
      return f;
    };
    return this.client.request('POST', '/jobs/inputs', { form, kind: ONCE });
  }
  status(jobId) {
    return this.get(`/jobs/${id(jobId)}`);
  }
  /** { status, limit, offset } */
  list(query) {
    return this.get('/jobs', query);
  }
  async *all({ status } = {}) {
    for (let offset = 0; ; offset += PAGE) {
      const page = await this.list({ status, limit: PAGE, offset });
      yield* page.jobs;
      if (!page.pagination.has_more) return;
    }
  }
  cancel(jobId) {
    return this.client.request('DELETE', `/jobs/${id(jobId)}`);
  }
  /** { limit, offset }; also while it runs */
  results(jobId, query) {
    return this.get(`/jobs/${id(jobId)}/results`, query);
  }
  async *allResults(jobId) {
    for (let offset = 0; ; offset += PAGE) {
      const page = await this.results(jobId, { limit: PAGE, offset });
      yield* page.results;
      if (!page.pagination.has_more) return;
    }
  }
  /** Until it has completed. Throws JobFailed or WaitTimeoutError. */
  async wait(jobId, { timeoutMs = 3600000, signal } = {}) {
    const end = Date.now() + timeoutMs;
    for (let pause = 50; ; pause = Math.min(pause * 1.5, 2000)) {
      const job = await this.status(jobId);
      if (job.status === 'completed') return job;
      if (job.status === 'failed' || job.status === 'cancelled')
        throw new JobFailed(`${jobId}: ${job.error || job.status}`, job);
      if (Date.now() + pause > end) throw new WaitTimeoutError(`${jobId} is still ${job.status} after ${timeoutMs} ms`);
      await sleep(pause, signal);
    }
  }
}

class Health extends Service {
  status() {
    return this.get('/health');
  }
  comprehensive() {
    return this.get('/health/comprehensive');
  }
  /** Prometheus text. */
  metrics() {
    return this.client.text('/metrics');
  }
}

class Ops extends Service {
  status() {
    return this.get('/ops/status');
  }
  /** { force, waitForHealth } */
  start(service, options) {
    return this.post(`/ops/services/${id(service)}/start`, members(options));
  }
  stop(service, options) {
    return this.post(`/ops/services/${id(service)}/stop`, members(options));
  }
  service(service) {
    return this.get(`/ops/services/${id(service)}`);
  }
  /** { service, level, limit, cursor } */
  logs(query) {
    return this.get('/ops/logs', query);
  }
}

class Models extends Service {
  async list() {
    return (await this.get('/models')).models;
  }
  /** { forceReload } */
  load(modelId, options) {
    return this.post(`/models/${id(modelId)}/load`, members(options));
  }
  unload(modelId) {
    return this.post(`/models/${id(modelId)}/unload`, {});
  }
  performance(modelId) {
    return this.get(`/models/${id(modelId)}/performance`);
  }
}

class Webhooks extends Service {
  /** { url, events, secret } */
  create(options) {
    return this.post('/webhooks', members(options), { kind: ONCE });
  }
  async list() {
    return (await this.get('/webhooks')).webhooks;
  }
  delete(webhookId) {
    return this.client.request('DELETE', `/webhooks/${id(webhookId)}`);
  }
}

export class AiSembleClient {
  #http;

  constructor({ baseUrl, apiKey, timeoutMs = 600000, retry, fetch } = {}) {
    const server = env('MILLRACE_URL');
    const url = baseUrl ?? (server ? server.replace(/\/+$/, '') + '/api/v2' : 'http://127.0.0.1:8080/api/v2');
    this.apiKey = apiKey ?? env('MILLRACE_KEY');
    this.refreshToken = undefined;
    this.#http = new Transport({ baseUrl: url, timeoutMs, retry, fetch, errors, service: 'Ai-semble' });
    this.llm = new LLM(this);
    this.vision = new Vision(this);
    this.nlp = new NLP(this);
    this.jobs = new Jobs(this);
    this.health = new Health(this);
    this.ops = new Ops(this);
    this.models = new Models(this);
    this.webhooks = new Webhooks(this);
  }

  get baseUrl() {
    return this.#http.baseUrl;
  }

  /** One call below baseUrl: what the services are made of. */
  request(method, path, options) {
    return this.#http.request(method, path, { token: this.apiKey, ...options });
  }
  events(path, body, options) {
    return this.#http.events(path, body, { token: this.apiKey, ...options });
  }
  text(path) {
    return this.#http.text(path, { token: this.apiKey });
  }

  /** Signs this client in. */
  async login(username, password) {
    return this.#take(await this.request('POST', '/auth/login', { body: { username, password }, kind: ONCE }));
  }
  /** A new access token for the refresh token, which changes too. */
  async refresh() {
    const body = { refresh_token: this.refreshToken };
    return this.#take(await this.request('POST', '/auth/refresh', { body, kind: ONCE }));
  }
  #take(tokens) {
    this.apiKey = tokens.access_token;
    this.refreshToken = tokens.refresh_token;
    return tokens;
  }
}
