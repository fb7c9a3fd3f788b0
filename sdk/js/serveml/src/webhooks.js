// Checks that a webhook call came from the server and was not changed or replayed.
import { SignatureError } from './errors.js';

async function webCrypto() {
  // Node 18 has it as a module only.
  return globalThis.crypto?.subtle ? globalThis.crypto : (await import(/* @vite-ignore */ /* webpackIgnore: true */ 'node:crypto')).webcrypto;
}

export async function randomId() {
  const b = (await webCrypto()).getRandomValues(new Uint8Array(16));
  b[6] = (b[6] & 0x0f) | 0x40;
  b[8] = (b[8] & 0x3f) | 0x80;
  return Array.from(b, (x) => x.toString(16).padStart(2, '0'))
    .join('')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function keyBytes(secret) {
  // Standard Webhooks: "whsec_" and base64; any other secret is used as it stands.
  if (secret.startsWith('whsec_')) {
    try {
      return Uint8Array.from(atob(secret.slice(6)), (c) => c.charCodeAt(0));
    } catch {
      // not base64: as it stands
    }
  }
  return new TextEncoder().encode(secret);
}

function header(headers, name) {
  if (typeof headers?.get === 'function') return headers.get(name);
  for (const [k, v] of Object.entries(headers ?? {})) if (k.toLowerCase() === name) return Array.isArray(v) ? v[0] : v;
  return undefined;
}

function sameText(a, b) {
  let diff = a.length ^ b.length;
  for (let i = 0; i < b.length; i++) diff |= a.charCodeAt(i % (a.length || 1)) ^ b.charCodeAt(i);
  return diff === 0;
}

/** The event, or a SignatureError. `payload`: the body as received (string or bytes). */
export async function verifySignature(payload, headers, secret, { toleranceSeconds = 300, now } = {}) {
  const body = typeof payload === 'string' ? new TextEncoder().encode(payload) : new Uint8Array(payload);
  if (!secret) throw new SignatureError('the secret is empty');
  const id = header(headers, 'webhook-id');
  const stamp = header(headers, 'webhook-timestamp');
  const signatures = header(headers, 'webhook-signature');
  if (!id || !stamp || !signatures) throw new SignatureError('the webhook-id, -timestamp or -signature header is missing');
  if (!/^\d+$/.test(stamp)) throw new SignatureError('webhook-timestamp is not a number');
  if (Math.abs((now ?? Date.now() / 1000) - Number(stamp)) > toleranceSeconds)
    throw new SignatureError('the call is too old, or a clock is wrong');
  const prefix = new TextEncoder().encode(`${id}.${stamp}.`);
  const signed = new Uint8Array(prefix.length + body.length);
  signed.set(prefix);
  signed.set(body, prefix.length);
  const { subtle } = await webCrypto();
  const key = await subtle.importKey('raw', keyBytes(secret), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  const mac = new Uint8Array(await subtle.sign('HMAC', key, signed));
  const want = btoa(String.fromCharCode(...mac));
  for (const one of signatures.split(' ')) {
    const comma = one.indexOf(',');
    if (one.slice(0, comma) === 'v1' && sameText(one.slice(comma + 1), want))
      return JSON.parse(new TextDecoder().decode(body));
  }
  throw new SignatureError('no signature fits the body and the secret');
}
