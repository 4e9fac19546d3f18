// The head of an HTTP/2 request as the HTTP/1.1 head that it stands for (RFC 9113 §8.3, RFC 8441), so that what decides a
// request does not learn that HTTP/2 exists. Pure. What nghttp2 refuses by itself (order of the pseudo-fields, connection
// fields, upper-case names, a body that is not as long as announced) never gets here.

import { type Rejection, reject } from '../../handshake/rejection.ts';
import { isToken, trimOws } from '../../http/fields.ts';
import type { MessageLike } from '../../http/head.ts';

/** A request of HTTP/2 as a head of HTTP/1.1. */
export interface Http2Head {
  readonly message: MessageLike;
  /** An extended CONNECT for a WebSocket: the message is its handshake. */
  readonly websocket: boolean;
}

/** What a stream began with. */
export interface Http2Fields {
  /** Flat name, value, …, in their order; pseudo-fields first. */
  readonly raw: readonly string[];
  /** Whether the head ended the stream: there is no body. */
  readonly ended: boolean;
  /** A fresh Sec-WebSocket-Key for a handshake toward the server, which HTTP/2 has none of (RFC 8441 §5). */
  readonly key: () => string;
}

/** The pseudo-fields of a request; nghttp2 lets each through once at most. */
type Pseudo = ':method' | ':scheme' | ':authority' | ':path' | ':protocol';

/** Reads the head. A rejection is answered on the stream, and costs no other stream of the connection. */
export function readHttp2Head({ raw, ended, key }: Http2Fields): Http2Head | Rejection {
  const { pseudo, fields, hosts, hasLength } = sortFields(raw);
  const of = (name: Pseudo): string | undefined => pseudo.get(name);
  const refused = judgePseudo(pseudo, hosts);
  if (refused !== null) return refused;
  const authority = of(':authority') ?? hosts[0];
  const head = authority === undefined ? [] : ['host', authority];
  const method = of(':method') ?? '';
  const path = of(':path') ?? '';
  const protocol = of(':protocol');
  if (protocol === undefined) {
    const url = method === 'CONNECT' ? (authority ?? '') : path;
    const framing = ended || hasLength || method === 'CONNECT' ? [] : ['transfer-encoding', 'chunked'];
    return { message: messageOf(method, url, [...head, ...fields, ...framing], pseudo), websocket: false };
  }
  if (protocol.toLowerCase() !== 'websocket') return UNKNOWN_PROTOCOL;
  if (ended || hasLength) return reject('malformed', 'a WebSocket has no content, and its stream is open');
  // The key proves to a client that a server speaks WebSocket; a stream needs no such proof, and a client must not choose ours.
  if (fields.some((name, i) => i % 2 === 0 && name === 'sec-websocket-key'))
    return reject('malformed', 'HTTP/2 has no Sec-WebSocket-Key');
  head.push('upgrade', 'websocket', 'connection', 'Upgrade', 'sec-websocket-key', key());
  return { message: messageOf('GET', path, [...head, ...fields], pseudo), websocket: true };
}

interface SortedFields {
  readonly pseudo: ReadonlyMap<string, string>;
  /** The fields of HTTP/1.1, without Host. */
  readonly fields: readonly string[];
  readonly hosts: readonly string[];
  readonly hasLength: boolean;
}

function sortFields(raw: readonly string[]): SortedFields {
  const pseudo = new Map<string, string>();
  const fields: string[] = [];
  const hosts: string[] = [];
  const crumbs: string[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    const value = trimOws(raw[i + 1] as string);
    if (name.charCodeAt(0) === COLON) pseudo.set(name, value);
    else if (name === 'host') hosts.push(value);
    else if (name === 'cookie') crumbs.push(value);
    else if (name !== 'http2-settings') fields.push(name, value);
  }
  // RFC 9113 §8.2.3: crumbs become one field again before they leave HTTP/2.
  if (crumbs.length > 0) fields.push('cookie', crumbs.join('; '));
  const hasLength = fields.some((name, i) => i % 2 === 0 && name === 'content-length');
  return { pseudo, fields, hosts, hasLength };
}

const COLON = 0x3a;

/** What of a target HTTP/1.1 would refuse, and nghttp2 lets through. */
function judgePseudo(pseudo: SortedFields['pseudo'], hosts: readonly string[]): Rejection | null {
  // RFC 9113 §8.3.1: two that differ are malformed; two readers could take either.
  const authority = pseudo.get(':authority') ?? hosts[0];
  if (hosts.some((host) => host !== authority)) return reject('malformed', ':authority and Host differ');
  const scheme = pseudo.get(':scheme') ?? 'https';
  if (scheme !== 'https' && scheme !== 'http') return reject('malformed', 'the scheme is not http or https');
  if (BEYOND_ASCII.test(pseudo.get(':path') ?? '')) return reject('malformed', UNESCAPED);
  // RFC 9110 §9.1: what a method means is the server's to say; nghttp2 lets through what would begin another line.
  return isToken(pseudo.get(':method') ?? '') ? null : reject('malformed', 'the method is no token');
}

/** In a target (RFC 3986 §2.1); nghttp2 refuses blanks and control characters by itself. */
const BEYOND_ASCII = /[\x80-\xff]/;
const UNESCAPED = 'the target holds an octet that must be percent-encoded, such as one beyond ASCII or a blank';

/** RFC 9220 §3: a `:protocol` that is not spoken. */
const UNKNOWN_PROTOCOL: Rejection = {
  ...reject('method', 'the only :protocol that is spoken is websocket', []),
  status: 501,
};

/** Its parts as a message of HTTP/1.1. */
function messageOf(method: string, url: string, rawHeaders: string[], pseudo: SortedFields['pseudo']): MessageLike {
  const scheme = pseudo.get(':scheme');
  const said = scheme === 'http' || scheme === 'https' ? scheme : null;
  return { method, url, httpVersion: '1.1', rawHeaders, http2: { scheme: said } };
}
