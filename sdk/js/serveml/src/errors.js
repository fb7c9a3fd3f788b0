// Errors. What the server answered is an APIError with its code and request id.

export class ServeMLError extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** No answer came. */
export class APIConnectionError extends ServeMLError {}

/** No answer within the time-out. */
export class APITimeoutError extends APIConnectionError {}

/** A deployment was neither active nor failed within the time that the caller gave. */
export class WaitTimeoutError extends ServeMLError {
  constructor(message, deploymentId) {
    super(message);
    this.deploymentId = deploymentId;
  }
}

/** A webhook call is not authentic, or too old. */
export class SignatureError extends ServeMLError {}

export class APIError extends ServeMLError {
  constructor(message, { status = 0, code = '', details = {}, requestId = '', retryAfter } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = details;
    this.requestId = requestId;
    this.retryAfter = retryAfter;
  }
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
  get deploymentId() {
    return String(this.details.deployment_id ?? '');
  }
}

const byCode = { DEPLOYMENT_FAILED: DeploymentFailed, PREDICTION_ERROR: PredictionError };
const byStatus = {
  401: AuthenticationError,
  403: PermissionDeniedError,
  404: NotFoundError,
  409: ConflictError,
  422: ValidationError,
  429: RateLimitError,
};

/** The error for a reply; `body` is its JSON, or undefined when it is none. */
export function errorFromReply(status, body, text, requestId, retryAfter) {
  const error = body?.error;
  const known = error && typeof error === 'object';
  const code = known ? String(error.code ?? '') : '';
  const message = known ? String(error.message ?? '') : `HTTP ${status}: ${text.slice(0, 200).trim() || 'no body'}`;
  const Kind = byCode[code] ?? byStatus[status] ?? (status >= 500 ? ServerError : InvalidInputError);
  return new Kind(message, {
    status,
    code,
    details: (known && error.details) || {},
    requestId: String(body?.request_id ?? requestId ?? ''),
    retryAfter,
  });
}
