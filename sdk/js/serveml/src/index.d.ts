/** Client of the ServeML API, for Node 18 and later and for browsers. */

/** A path (Node only), bytes, a Blob or a File. */
export type FileSource = string | ArrayBuffer | ArrayBufferView | Blob;
export type Status = 'building' | 'active' | 'updating' | 'failed' | 'deleted';
export type Scope = 'read' | 'write' | 'predict' | 'admin';
export type Resolution = '1m' | '5m' | '1h' | '1d';
export type PartState = 'operational' | 'degraded' | 'outage';
export type Raw = Record<string, any>;

export interface RetryOptions {
  /** Attempts after the first; default 3. */
  maxRetries?: number;
  /** The first delay; it doubles, and half of it is random. Default 250. */
  baseDelayMs?: number;
  /** Default 8000. */
  maxDelayMs?: number;
  /** A longer Retry-After than this is given back as an error. Default 60000. */
  maxRetryAfterMs?: number;
}

export interface ClientOptions {
  /** An API key or a token; default MILLRACE_KEY of the environment. */
  apiKey?: string;
  /** Default MILLRACE_URL of the environment, else http://127.0.0.1:8080. */
  baseUrl?: string;
  /** Of one request; default 60000, 0 = none. */
  timeoutMs?: number;
  retry?: RetryOptions;
  fetch?: typeof fetch;
}

export interface DeployOptions {
  modelFile: FileSource;
  /** Default: the path's or File's own name, else "model". */
  modelFileName?: string;
  requirementsFile?: FileSource | null;
  name?: string;
  /** MB */
  memory?: number;
  /** Seconds that a prediction may take. */
  timeout?: number;
  changes?: string;
  idempotencyKey?: string;
  /** Default true: until active, or DeploymentFailed. */
  wait?: boolean;
  waitTimeoutMs?: number;
  uploadTimeoutMs?: number;
  signal?: AbortSignal;
}

export interface Prediction {
  isBatch: boolean;
  /** Of a row; undefined for a batch. */
  prediction: any;
  /** One a row; for a single row a list of one. */
  predictions: any[];
  /** Of a row one list, of a batch one list a row; absent for regression. */
  probabilities?: any[];
  modelVersion: string;
  responseTimeMs: number;
  batchSize?: number;
  raw: Raw;
}

export interface TestResult {
  deploymentId: string;
  modelVersion: string;
  responseTimeMs: number;
  inputSchema: Raw;
  featuresRead: any[];
  prediction: any;
  probabilities?: any[];
  raw: Raw;
}

export interface ModelMetadata {
  framework: string;
  modelType: string;
  sizeMb?: number;
  inputShape?: number[];
  outputShape?: number[];
  raw: Raw;
}

export interface Configuration {
  memoryMb: number;
  timeoutSeconds: number;
  minInstances: number;
  maxInstances: number;
}

export interface MetricsSummary {
  totalPredictions: number;
  avgLatencyMs: number;
  errorRate: number;
}

export interface Metrics {
  deploymentId: string;
  period: { start: Date; end: Date };
  requestCount: number;
  errorCount: number;
  avgLatencyMs: number;
  p95LatencyMs: number;
  p99LatencyMs: number;
  coldStarts: number;
  uniqueUsers: number;
  timeSeries: { timestamps: Date[]; requestCounts: number[]; avgLatencies: number[]; errorCounts: number[] };
  costEstimate: { totalUsd: number; breakdown: { compute: number; storage: number; network: number } };
  dashboardUrl: string;
  raw: Raw;
}

export interface Version {
  version: string;
  createdAt: Date;
  status: 'active' | 'inactive' | 'building' | 'failed';
  isCurrent: boolean;
  changes: string;
  error: string;
  raw: Raw;
}

export interface Rollback {
  id: string;
  version: string;
  previousVersion: string;
  raw: Raw;
}

export interface User {
  id: string;
  email: string;
  username: string;
  fullName: string | null;
  createdAt: Date;
  deploymentCount: number;
  totalPredictions: number;
  raw: Raw;
}

export interface Token {
  accessToken: string;
  tokenType: string;
  /** After register; null after login. */
  user: User | null;
  raw: Raw;
}

export interface ApiKey {
  id: string;
  name: string;
  prefix: string;
  scopes: Scope[];
  createdAt: Date;
  lastUsedAt: Date | null;
  expiresAt: Date | null;
  rateLimitPerMinute: number | null;
  monthlyBudgetUsd: number | null;
  /** The secret: only in the answer to create. */
  key?: string;
  raw: Raw;
}

export interface Member {
  userId: string;
  email: string;
  username: string;
  role: string;
  joinedAt: Date;
  raw: Raw;
}

export interface Invitation {
  email: string;
  role: string;
  /** The token that register takes. */
  invitation: string;
  expiresAt: Date;
  raw: Raw;
}

export interface Webhook {
  id: string;
  url: string;
  events: string[];
  status: 'active' | 'disabled';
  createdAt: Date;
  /** Only in the answer to create, when the server made it. */
  secret?: string;
  raw: Raw;
}

export interface Delivery {
  id: string;
  event: string;
  status: 'pending' | 'delivered' | 'dead';
  attempts: Raw[];
  createdAt: Date;
  raw: Raw;
}

export interface ApiStatus {
  api: PartState;
  deployments: PartState;
  predictions: PartState;
  database: PartState;
  storage: PartState;
  issues: string[];
}

export interface Health {
  status: string;
  message: string;
  version: string;
  timestamp: Date;
}

export interface DeploymentChanges {
  name?: string;
  memoryMb?: number;
  timeoutSeconds?: number;
  minInstances?: number;
  maxInstances?: number;
}

export interface DeploymentFilter {
  status?: Status;
  framework?: string;
  search?: string;
}

export interface PredictOptions {
  /** Your end user, for the figure uniqueUsers. */
  userId?: string;
  timeoutMs?: number;
  signal?: AbortSignal;
}

export interface MetricsOptions {
  /** 1 to 168; default 24. */
  hours?: number;
  resolution?: Resolution;
}

export class Deployment {
  private constructor();
  raw: Raw;
  readonly id: string;
  readonly name: string;
  readonly status: Status;
  readonly version: string;
  /** Why it failed, or ''. */
  readonly error: string;
  readonly createdAt: Date | null;
  readonly updatedAt: Date | null;
  readonly endpointUrl: string;
  readonly modelMetadata: ModelMetadata;
  readonly configuration: Configuration | null;
  readonly metricsSummary: MetricsSummary | null;
  predict(data: unknown, options?: PredictOptions): Promise<Prediction>;
  test(data: unknown): Promise<TestResult>;
  getMetrics(options?: MetricsOptions): Promise<Metrics>;
  refresh(): Promise<this>;
  update(changes: DeploymentChanges): Promise<this>;
  delete(): Promise<void>;
  versions(): Promise<Version[]>;
  rollback(version: string): Promise<Rollback>;
  /** Waits for this version. Throws DeploymentFailed or WaitTimeoutError. */
  waitUntilActive(options?: { timeoutMs?: number; signal?: AbortSignal }): Promise<this>;
}

export class ServeMLClient {
  constructor(options?: ClientOptions);
  apiKey?: string;
  readonly baseUrl: string;
  /** Makes a user and signs this client in as that user. */
  register(user: {
    email: string;
    username: string;
    password: string;
    fullName?: string;
    invitation?: string;
  }): Promise<Token>;
  /** Signs this client in. */
  login(credentials: { email: string; password: string }): Promise<Token>;
  me(): Promise<User>;
  createApiKey(key: {
    name: string;
    scopes?: Scope[];
    rateLimitPerMinute?: number;
    monthlyBudgetUsd?: number;
    expiresInDays?: number;
  }): Promise<ApiKey>;
  listApiKeys(): Promise<ApiKey[]>;
  revokeApiKey(keyId: string): Promise<void>;
  listMembers(): Promise<Member[]>;
  inviteMember(member: { email: string; role?: 'admin' | 'member' | 'viewer' }): Promise<Invitation>;
  removeMember(userId: string): Promise<void>;
  /** Uploads a model file and waits until it serves. Throws DeploymentFailed with the reason. */
  deploy(options: DeployOptions): Promise<Deployment>;
  listDeployments(
    options?: DeploymentFilter & { limit?: number; offset?: number },
  ): Promise<{ items: Deployment[]; total: number; limit: number; offset: number }>;
  iterDeployments(options?: DeploymentFilter & { pageSize?: number }): AsyncGenerator<Deployment, void, undefined>;
  getDeployment(deploymentId: string, options?: { signal?: AbortSignal }): Promise<Deployment>;
  /** The deployment of exactly this name. Throws NotFoundError. */
  findDeployment(name: string): Promise<Deployment>;
  updateDeployment(deploymentId: string, changes: DeploymentChanges): Promise<Deployment>;
  deleteDeployment(deploymentId: string): Promise<void>;
  /** Newest first. */
  listVersions(deploymentId: string): Promise<Version[]>;
  rollback(deploymentId: string, version: string): Promise<Rollback>;
  /** data: a row, a list of rows, an object by feature name, or a list of those. */
  predict(deploymentId: string, data: unknown, options?: PredictOptions): Promise<Prediction>;
  /** One prediction that is not counted. */
  testModel(deploymentId: string, data: unknown): Promise<TestResult>;
  getMetrics(deploymentId: string, options?: MetricsOptions): Promise<Metrics>;
  /** Without a secret the server makes one: the answer's `secret`, shown once. */
  createWebhook(webhook: { url: string; events: string[]; secret?: string }): Promise<Webhook>;
  listWebhooks(): Promise<Webhook[]>;
  getWebhook(webhookId: string): Promise<Webhook>;
  deleteWebhook(webhookId: string): Promise<void>;
  /** Queues a test event; returns the delivery's id. */
  testWebhook(webhookId: string): Promise<string>;
  /** Newest first. */
  listDeliveries(
    webhookId: string,
    options?: { limit?: number; offset?: number },
  ): Promise<{ items: Delivery[]; total: number }>;
  /** Delivers once more; returns the new delivery's id. */
  replayDelivery(webhookId: string, deliveryId: string): Promise<string>;
  status(): Promise<ApiStatus>;
  health(): Promise<Health>;
}

export class ServeMLError extends Error {}
/** No answer came. */
export class APIConnectionError extends ServeMLError {}
/** No answer within the time-out. */
export class APITimeoutError extends APIConnectionError {}
/** A deployment was neither active nor failed within the time that the caller gave. */
export class WaitTimeoutError extends ServeMLError {
  deploymentId: string;
}
/** A webhook call is not authentic, or too old. */
export class SignatureError extends ServeMLError {}
/** The server answered with an error. */
export class APIError extends ServeMLError {
  /** HTTP status */
  status: number;
  /** For example "VALIDATION_ERROR". */
  code: string;
  details: Raw;
  /** Names the request in the server's log. */
  requestId: string;
  /** Seconds. */
  retryAfter?: number;
}
export class InvalidInputError extends APIError {}
export class ValidationError extends APIError {}
export class AuthenticationError extends APIError {}
export class PermissionDeniedError extends APIError {}
export class NotFoundError extends APIError {}
export class ConflictError extends APIError {}
export class RateLimitError extends APIError {}
export class PredictionError extends APIError {}
export class ServerError extends APIError {}
/** The model file cannot be served; the message is the reason. */
export class DeploymentFailed extends APIError {
  readonly deploymentId: string;
}

/** The event, or a SignatureError. `payload`: the body as received, byte for byte. */
export function verifySignature(
  payload: string | ArrayBuffer | Uint8Array,
  headers: Headers | Record<string, string | string[] | undefined>,
  secret: string,
  options?: { toleranceSeconds?: number; now?: number },
): Promise<{ event: string; timestamp: string; data: Raw }>;
