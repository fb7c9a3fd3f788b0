// Client of the ServeML API, for Node 18 and later and for browsers. No dependencies.
export { Deployment, ServeMLClient } from './client.js';
export {
  APIConnectionError, APIError, APITimeoutError, AuthenticationError, ConflictError, DeploymentFailed,
  InvalidInputError, NotFoundError, PermissionDeniedError, PredictionError, RateLimitError, ServeMLError, ServerError,
  SignatureError, ValidationError, WaitTimeoutError,
} from './errors.js';
export { verifySignature } from './webhooks.js';
