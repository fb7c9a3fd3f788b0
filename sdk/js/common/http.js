// fetch with time-outs, retries, event streams and the package's own errors.

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
  /** errors: { ClientError, APIConnectionError, APITimeoutError, errorFromReply }; service: for messages. */
  constructor({ baseUrl, timeoutMs, retry, fetch: own, errors, service }) {
    const url = new URL(baseUrl);
    if (!/^https?:$/.test(url.protocol) || url.search || url.hash || url.username)
      throw new TypeError(`the base URL must be http(s)://host[:port], not ${baseUrl}`);
    this.baseUrl = url.href.replace(/\/+$/, '');
    this.timeoutMs = timeoutMs;
    this.retry = defaultRetry(retry);
    this.fetch = own ?? ((...a) => globalThis.fetch(...a));
    this.errors = errors;
    this.service = service;
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
      if (late) return { error: new this.errors.APITimeoutError(`no answer from ${url.host} in ${timeoutMs} ms`), status: 0 };
      const code = why?.cause?.code;
      const said = why?.cause?.message || code || why?.message || String(why);
      const error = new this.errors.APIConnectionError(`${url.host}: ${said}`, { cause: why });
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
        return { error: new this.errors.APIConnectionError('the reply is not valid JSON', { cause: why }), status: 0 };
      }
    }
    if (r.ok && body === undefined)
      return { error: new this.errors.ClientError(`the reply is not JSON; is this a ${this.service} server?`), status: r.status };
    if (r.ok) return { reply: body, status: r.status };
    const after = parseRetryAfter(r.headers.get('retry-after'));
    const id = r.headers.get('x-request-id');
    const error = this.errors.errorFromReply(r.status, body, text, id, after === undefined ? undefined : after / 1000);
    return { error, status: r.status };
  }

  /** A reply that is plain text. */
  async text(path, { token, signal } = {}) {
    return (await this.open('GET', path, undefined, token, signal)).text();
  }

  /** The data of each server-sent event of a POST, up to "[DONE]". Not tried again once it has begun. */
  async *events(path, body, { token, signal } = {}) {
    const r = await this.open('POST', path, body, token, signal);
    let rest = '';
    let data = [];
    try {
      for await (const piece of r.body.pipeThrough(new TextDecoderStream())) {
        const lines = (rest + piece).split(/\r?\n/);
        rest = lines.pop();
        for (const line of lines) {
          if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''));
          else if (!line && data.length) {
            const whole = data.join('\n');
            data = [];
            if (whole === '[DONE]') return;
            yield whole;
          }
        }
      }
    } catch (why) {
      if (signal?.aborted) throw signal.reason;
      throw new this.errors.APIConnectionError(`the stream broke: ${why?.message ?? why}`, { cause: why });
    }
    throw new this.errors.APIConnectionError('the stream ended before its last event');
  }

  async open(method, path, body, token, signal) {
    const headers = { Accept: '*/*' };
    if (token) headers.Authorization = `Bearer ${token}`;
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    const data = body === undefined ? undefined : encode(body);
    const url = new URL(this.baseUrl + path);
    let r;
    try {
      r = await this.fetch(url, { method, headers, body: data, redirect: 'error', signal });
    } catch (why) {
      if (signal?.aborted) throw signal.reason;
      const said = why?.cause?.message || why?.message || String(why);
      throw new this.errors.APIConnectionError(`${url.host}: ${said}`, { cause: why });
    }
    if (r.ok) return r;
    throw this.judge(r, await r.text()).error;
  }
}

/** { blob, name } of bytes, a Blob, a File or (Node) a path; `fallback` names what has no name. */
export async function toFile(source, fallback) {
  if (typeof source === 'string') {
    const fs = await import(/* @vite-ignore */ /* webpackIgnore: true */ 'node:fs');
    const name = source.split(/[\\/]/).pop() || fallback;
    // openAsBlob (Node 19.8) reads while it sends; before that the file is read into memory.
    if (fs.openAsBlob) return { blob: await fs.openAsBlob(source), name };
    return { blob: new Blob([await fs.promises.readFile(source)]), name };
  }
  if (source instanceof Blob) return { blob: source, name: source.name || fallback };
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return { blob: new Blob([source]), name: fallback };
  throw new TypeError('a file must be a path, a Buffer, an ArrayBuffer, a typed array, a Blob or a File');
}
