/** Client of the Ai-semble API, for Node 18 and later and for browsers. Replies are the API's JSON. */

/** A path (Node only), bytes, a Blob or a File. */
export type FileSource = string | ArrayBuffer | ArrayBufferView | Blob;
export type Json = Record<string, any>;

export interface RetryOptions {
  maxRetries?: number;
  baseDelayMs?: number;
  maxDelayMs?: number;
  maxRetryAfterMs?: number;
}

export interface ClientOptions {
  /** Ends in /api/v2; default MILLRACE_URL of the environment + /api/v2, else this machine's. */
  baseUrl?: string;
  /** An API key or an access token; default MILLRACE_KEY of the environment. */
  apiKey?: string;
  /** Of one request; default 600000, 0 = none. */
  timeoutMs?: number;
  retry?: RetryOptions;
  fetch?: typeof fetch;
}

export interface TextOptions {
  model?: string;
  maxTokens?: number;
  temperature?: number;
  /** top_p, top_k, min_p, frequency_penalty, presence_penalty, seed, stop … */
  parameters?: Json;
  signal?: AbortSignal;
  /** A repeated call gets the first one's answer and is paid once; here and below. */
  idempotencyKey?: string;
}
export interface Message {
  role: 'system' | 'user' | 'assistant' | 'tool';
  content: string;
}
export type Analysis = 'object_detection' | 'text_extraction' | 'scene_analysis';
export type TextAnalysis = 'sentiment' | 'entities' | 'keywords' | 'language';
export type JobStatus = 'scheduled' | 'queued' | 'running' | 'completed' | 'failed' | 'cancelled';
export interface Page {
  limit?: number;
  offset?: number;
}

export class AiSembleClient {
  constructor(options?: ClientOptions);
  apiKey: string | undefined;
  refreshToken: string | undefined;
  readonly baseUrl: string;
  readonly llm: {
    generate(options: TextOptions & { prompt: string; raw?: boolean; stream: true }): AsyncIterable<Json>;
    generate(options: TextOptions & { prompt: string; raw?: boolean; stream?: false }): Promise<Json>;
    chat(options: TextOptions & { messages: Message[]; stream: true }): AsyncIterable<Json>;
    chat(options: TextOptions & { messages: Message[]; stream?: false }): Promise<Json>;
    models(): Promise<Json[]>;
  };
  readonly vision: {
    analyze(options: { image: FileSource; analysisType?: Analysis | Analysis[]; model?: string; signal?: AbortSignal; idempotencyKey?: string }): Promise<Json>;
    classify(options: { image: FileSource; model?: string; topK?: number; signal?: AbortSignal; idempotencyKey?: string }): Promise<Json>;
  };
  readonly nlp: {
    analyze(options: { text: string; analysisTypes?: TextAnalysis[]; language?: string; signal?: AbortSignal; idempotencyKey?: string }): Promise<Json>;
    summarize(options: { text: string; maxLength?: number; minLength?: number; model?: string; signal?: AbortSignal; idempotencyKey?: string }): Promise<Json>;
    embeddings(options: { texts: string | string[]; model?: string; signal?: AbortSignal; idempotencyKey?: string }): Promise<Json>;
  };
  readonly jobs: {
    create(options: {
      service: string;
      parameters: Json;
      name?: string;
      type?: string;
      priority?: 'low' | 'normal' | 'high' | 'critical';
      scheduledAt?: string | Date;
      cron?: string;
      idempotencyKey?: string;
      signal?: AbortSignal;
    }): Promise<Json>;
    upload(source: FileSource, fileName?: string): Promise<Json>;
    status(jobId: string): Promise<Json>;
    list(query?: Page & { status?: JobStatus }): Promise<Json>;
    all(query?: { status?: JobStatus }): AsyncIterable<Json>;
    cancel(jobId: string): Promise<Json>;
    results(jobId: string, query?: Page): Promise<Json>;
    allResults(jobId: string): AsyncIterable<Json>;
    wait(jobId: string, options?: { timeoutMs?: number; signal?: AbortSignal }): Promise<Json>;
  };
  readonly health: { status(): Promise<Json>; comprehensive(): Promise<Json>; metrics(): Promise<string> };
  readonly ops: {
    status(): Promise<Json>;
    start(service: string, options?: { force?: boolean; waitForHealth?: boolean }): Promise<Json>;
    stop(service: string, options?: { force?: boolean }): Promise<Json>;
    service(service: string): Promise<Json>;
    logs(query?: { service?: string; level?: string; limit?: number; cursor?: string }): Promise<Json>;
  };
  readonly models: {
    list(): Promise<Json[]>;
    load(modelId: string, options?: { forceReload?: boolean }): Promise<Json>;
    unload(modelId: string): Promise<Json>;
    performance(modelId: string): Promise<Json>;
  };
  readonly webhooks: {
    create(options: { url: string; events: string[]; secret?: string }): Promise<Json>;
    list(): Promise<Json[]>;
    delete(webhookId: string): Promise<Json>;
  };
  login(username: string, password: string): Promise<Json>;
  refresh(): Promise<Json>;
}

export class AiSembleError extends Error {}
export class APIConnectionError extends AiSembleError {}
export class APITimeoutError extends APIConnectionError {}
export class WaitTimeoutError extends AiSembleError {}
export class JobFailed extends AiSembleError {
  readonly job: Json;
}
export class APIError extends AiSembleError {
  readonly status: number;
  readonly code: string;
  readonly details: Json;
  readonly requestId: string;
  readonly retryAfter: number | undefined;
}
export class InvalidRequestError extends APIError {}
export class AuthenticationError extends APIError {}
export class QuotaExceededError extends APIError {}
export class PermissionDeniedError extends APIError {}
export class NotFoundError extends APIError {}
export class ConflictError extends APIError {}
export class ModelNotLoadedError extends APIError {}
export class RateLimitError extends APIError {}
export class ServiceUnavailableError extends APIError {}
export class ServerError extends APIError {}
