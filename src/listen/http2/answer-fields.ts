// The fields of an HTTP/1.1 answer as node's HTTP/2 takes them (RFC 9113 §8.2). Pure.
import type { OutgoingHttpHeaders } from 'node:http2';
import type { Fields } from '../../http/fields.ts';

/** What belongs to one connection of HTTP/1.1 (RFC 9113 §8.2.2), and what proves a handshake of its own (RFC 8441 §5). */
const OF_HTTP1 = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'te',
  'sec-websocket-accept',
]);

/**
 * Names of which node's HTTP/2 takes one value and throws at a second: those are joined as a list, which is what a
 * recipient of the two may do (RFC 9110 §5.3). All others stay apart.
 */
const SINGLE = new Set([
  'access-control-allow-credentials',
  'access-control-max-age',
  'access-control-request-method',
  'age',
  'authorization',
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-md5',
  'content-range',
  'content-type',
  'date',
  'dnt',
  'etag',
  'expires',
  'from',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'last-modified',
  'location',
  'max-forwards',
  'proxy-authorization',
  'range',
  'referer',
  'retry-after',
  'tk',
  'upgrade-insecure-requests',
  'user-agent',
  'x-content-type-options',
]);

/** Above it a status is invalid, and means a fault of the server (RFC 9110 §15); node refuses to send it. */
const LAST_STATUS = 599;

/** The head of an answer; fields of the same name keep their order. */
export function http2Answer(status: number, fields: Fields): OutgoingHttpHeaders {
  // Without a prototype: a field may be named `__proto__`.
  const headers: OutgoingHttpHeaders = Object.create(null);
  headers[':status'] = status > LAST_STATUS ? 502 : status;
  return addFields(headers, fields);
}

/** Trailers; those that may not cross have been taken out. */
export function http2Trailers(fields: readonly (readonly [string, string])[]): OutgoingHttpHeaders {
  return addFields(Object.create(null), fields.flat());
}

function addFields(headers: OutgoingHttpHeaders, fields: Fields): OutgoingHttpHeaders {
  for (let i = 0; i < fields.length; i += 2) {
    const name = (fields[i] as string).toLowerCase();
    if (OF_HTTP1.has(name)) continue;
    const value = fields[i + 1] as string;
    const known = headers[name];
    if (known === undefined) headers[name] = value;
    else if (SINGLE.has(name)) headers[name] = `${known}, ${value}`;
    else if (Array.isArray(known)) known.push(value);
    else headers[name] = [known as string, value];
  }
  return headers;
}
