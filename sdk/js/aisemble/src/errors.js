// Errors. What the server answered is an APIError with its code and request id.

export class AiSembleError extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** No answer came, or a stream broke. */
export class APIConnectionError extends AiSembleError {}

/** No answer within the time-out. */
export class APITimeoutError extends APIConnectionError {}

/** A job or a model was not ready within the time that the caller gave. */
export class WaitTimeoutError extends AiSembleError {}

/** A job that was waited for failed or was cancelled; `job` is its last state. */
export class JobFailed extends AiSembleError {
  constructor(message, job) {
    super(message);
    this.job = job;
  }
}

export class APIError extends AiSembleError {
  constructor(message, { status = 0, code = '', details = {}, requestId = '', retryAfter } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = details;
    this.requestId = requestId;
    this.retryAfter = retryAfter;
  }
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

const byStatus = {
  401: AuthenticationError,
  402: QuotaExceededError,
  403: PermissionDeniedError,
  404: NotFoundError,
  409: ConflictError,
  422: ModelNotLoadedError,
  429: RateLimitError,
  503: ServiceUnavailableError,
};

/** The error for a reply; `body` is its JSON, or undefined when it is none. */
export function errorFromReply(status, body, text, requestId, retryAfter) {
  const error = body?.error;
  const known = error && typeof error === 'object';
  const message = known ? String(error.message ?? '') : `HTTP ${status}: ${text.slice(0, 200).trim() || 'no body'}`;
  const Kind = byStatus[status] ?? (status >= 500 ? ServerError : InvalidRequestError);
  return new Kind(message, {
    status,
    code: known ? String(error.code ?? '') : '',
    details: (known && error.details) || {},
    requestId: String((known && error.request_id) || requestId || ''),
    retryAfter,
  });
}
