// Client of the Ai-semble API, for Node 18 and later and for browsers. No dependencies.
export { AiSembleClient } from './client.js';
export {
  APIConnectionError, APIError, APITimeoutError, AiSembleError, AuthenticationError, ConflictError,
  InvalidRequestError, JobFailed, ModelNotLoadedError, NotFoundError, PermissionDeniedError, QuotaExceededError,
  RateLimitError, ServerError, ServiceUnavailableError, WaitTimeoutError,
} from './errors.js';
