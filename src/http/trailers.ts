// Which trailer fields cross the gateway (RFC 9110 §6.5). Pure.
import type { Fields } from './fields.ts';
import { isForwardingField } from './forwarding/forwarded.ts';

/**
 * What decides framing, routing, who is asking or how to read the content is settled before the content comes: a
 * later field would mislead a receiver that merges trailers into the head (RFC 9110 §6.5.1).
 */
const HEAD_ONLY = new Set([
  'authorization',
  'cache-control',
  'connection',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'location',
  'max-forwards',
  'origin',
  'pragma',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'range',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'www-authenticate',
  'x-gateway-reason',
]);

/** The trailer fields, of a request or an answer, that may cross, as [name, value] in their order. */
export function passingTrailers(fields: Fields): [string, string][] {
  const passing: [string, string][] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const lower = name.toLowerCase();
    if (HEAD_ONLY.has(lower) || lower.startsWith('if-') || isForwardingField(lower)) continue;
    passing.push([name, fields[i + 1] as string]);
  }
  return passing;
}
