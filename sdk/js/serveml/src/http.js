// fetch with time-outs, retries and errors.
import { APIConnectionError, APITimeoutError, ServeMLError, errorFromReply } from './errors.js';

export const SAFE = 'safe'; // the server may do it twice without harm
export const ONCE = 'once'; // only when the first attempt certainly did nothing

const NOT_CONNECTED = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'UND_ERR_CONNECT_TIMEOUT']);

export function defaultRetry(given = {}) {
  return { maxRetries: 3, baseDelayMs: 250, maxDelayMs: 8000, maxRetryAfterMs: 60000, ...given };
}

/** Whether to try again after `status` (0: the connection broke, -1: it never came about). */
export function wantsRetry(retry, attempt, kind, status, code) {
  if (attempt >= retry.maxRetries) return false;
  if (status === -1 || status === 429 || status === 503) return true; // not processed
  if (kind !== SAFE) return false;
  if (status === 0 || status === 408) return true;
  // A model that fails fails again, and so does a full disk.
  return status >= 500 && ![501, 505, 507].includes(status) && code !== 'PREDICTION_ERROR';
}

/** Milliseconds before the next attempt; undefined: longer than the caller would want. */
export function retryDelay(retry, attempt, retryAfterMs) {
  if (retryAfterMs !== undefined) return retryAfterMs <= retry.maxRetryAfterMs ? retryAfterMs : undefined;
  return Math.min(retry.maxDelayMs, retry.baseDelayMs * 2 ** attempt) * (0.5 + Math.random() / 2);
}

/** Milliseconds from a Retry-After header: a number of seconds or an HTTP date. */
export function parseRetryAfter(value) {
  if (!value) return undefined;
  if (/^\s*\d+(\.\d+)?\s*$/.test(value)) return Number(value) * 1000;
  const when = Date.parse(value);
  return Number.isNaN(when) ? undefined : Math.max(0, when - Date.now());
}

/** JSON. NaN is a missing value (null); infinities have no JSON and are an error; typed arrays are lists. */
export function encode(body) {
  return JSON.stringify(body, (_, v) => {
    if (v === Infinity || v === -Infinity) throw new RangeError('infinite numbers cannot be sent');
    return ArrayBuffer.isView(v) && !(v instanceof DataView) ? Array.from(v) : v;
  });
}

export function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

export class Transport {
  constructor({ baseUrl, timeoutMs, retry, fetch: own }) {
    const url = new URL(baseUrl);
    if (!/^https?:$/.test(url.protocol) || url.search || url.hash || url.username)
      throw new TypeError(`the base URL must be http(s)://host[:port], not ${baseUrl}`);
    this.baseUrl = url.href.replace(/\/+$/, '');
    this.timeoutMs = timeoutMs;
    this.retry = defaultRetry(retry);
    this.fetch = own ?? ((...a) => globalThis.fetch(...a));
  }

  /** The reply's JSON. `form`: makes the body of each attempt. */
  async request(method, path, { token, query, body, form, headers, kind = SAFE, timeoutMs, signal } = {}) {
    const url = new URL(this.baseUrl + path);
    for (const [k, v] of Object.entries(query ?? {})) if (v !== undefined && v !== null) url.searchParams.set(k, v);
    const head = { Accept: 'application/json', ...headers };
    if (token) head.Authorization = `Bearer ${token}`;
    let data;
    if (body !== undefined) {
      data = encode(body);
      head['Content-Type'] = 'application/json';
    }
    for (let attempt = 0; ; attempt++) {
      const init = { method, headers: head, body: form ? await form() : data, redirect: 'error' };
      const { reply, error, status } = await this.once(url, init, timeoutMs ?? this.timeoutMs, signal);
      if (!error) return reply;
      const wait = wantsRetry(this.retry, attempt, kind, status, error.code)
        ? retryDelay(this.retry, attempt, error.retryAfter === undefined ? undefined : error.retryAfter * 1000)
        : undefined;
      if (wait === undefined) throw error;
      await sleep(wait, signal);
    }
  }

  async once(url, init, timeoutMs, signal) {
    const control = new AbortController();
    const stop = () => control.abort(signal.reason);
    if (signal?.aborted) throw signal.reason;
    signal?.addEventListener('abort', stop, { once: true });
    let late = false;
    const timer = timeoutMs > 0 ? setTimeout(() => ((late = true), control.abort()), timeoutMs) : undefined;
    try {
      const r = await this.fetch(url, { ...init, signal: control.signal });
      const text = await r.text();
      return this.judge(r, text);
    } catch (why) {
      if (signal?.aborted) throw signal.reason;
      if (why instanceof RangeError) throw why;
      if (late) return { error: new APITimeoutError(`no answer from ${url.host} in ${timeoutMs} ms`), status: 0 };
      const code = why?.cause?.code;
      const said = why?.cause?.message || code || why?.message || String(why);
      const error = new APIConnectionError(`${url.host}: ${said}`, { cause: why });
      return { error, status: NOT_CONNECTED.has(code) ? -1 : 0 };
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
    }
  }

  judge(r, text) {
    let body;
    if (/json/.test(r.headers.get('content-type') ?? '')) {
      try {
        body = JSON.parse(text);
      } catch (why) {
        return { error: new APIConnectionError('the reply is not valid JSON', { cause: why }), status: 0 };
      }
    }
    if (r.ok && body === undefined)
      return { error: new ServeMLError('the reply is not JSON; is this a ServeML server?'), status: r.status };
    if (r.ok) return { reply: body, status: r.status };
    const after = parseRetryAfter(r.headers.get('retry-after'));
    const id = r.headers.get('x-request-id');
    const error = errorFromReply(r.status, body, text, id, after === undefined ? undefined : after / 1000);
    return { error, status: r.status };
  }
}
