// A request head as an immutable value, and the checks that every request must pass before a route is searched: version,
// Host, framing, target (RFC 9112). Pure. The parser has refused malformed heads before.

import type { Framing } from './answer.ts';
import { type FieldSection, listElements, lowerNames, splitList, valuesOf } from './fields.ts';
import { plainAddress } from './forwarding/addresses.ts';
import { type Authority, type Fault, parseAuthority, parseTarget, type Target } from './target.ts';

/** A head with more fields gets 431 (node would silently drop the rest, perhaps including Origin). */
export const MAX_FIELDS = 200;

/** Start line and fields of one request, and where it came from. */
export interface RequestHead extends FieldSection {
  readonly method: string;
  readonly target: string;
  /** `1.1`, `1.0`, or another text of the start line; `1.1` for HTTP/2, whose heads are translated. */
  readonly version: string;
  /** For HTTP/2, the values without a counterpart in HTTP/1.1, such as `:scheme`. */
  readonly http2?: Http2Origin | undefined;
  /** Whether it came over TLS. */
  readonly secure: boolean;
  /**
   * Address of the peer, an IPv4-mapped one written as IPv4; empty on a unix socket. A trusted PROXY preamble has already
   * replaced it.
   */
  readonly peer: string;
}

/** A head as an HTTP server has parsed it; node's IncomingMessage is one. */
export interface MessageLike {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly httpVersion: string;
  readonly rawHeaders: readonly string[];
  /** The names of its fields in lower case, if the server has them already. */
  readonly names?: readonly string[];
  /** Set where the head was translated from HTTP/2. */
  readonly http2?: Http2Origin;
}

/** Values of an HTTP/2 head that HTTP/1.1 has no place for. */
export interface Http2Origin {
  readonly scheme: 'http' | 'https' | null;
}

/** Takes the head out of a message; only `rawHeaders` is read, since node's `headers` joins and drops fields. */
export function readHead(message: MessageLike, secure: boolean, peer: string): RequestHead {
  return {
    method: message.method ?? '',
    target: message.url ?? '',
    version: message.httpVersion,
    fields: message.rawHeaders,
    names: message.names ?? lowerNames(message.rawHeaders),
    http2: message.http2,
    secure,
    peer: plainAddress(peer),
  };
}

/** Whether this is a browser's CORS preflight (Fetch §3.2.2), which has no credentials. */
export function isPreflight({ method, names }: RequestHead): boolean {
  return method === 'OPTIONS' && names.includes('origin') && names.includes('access-control-request-method');
}

/** A valid head, with its target parsed and its authority known. */
export interface Request {
  readonly head: RequestHead;
  readonly target: Target;
  /** Host, or the authority of an absolute-form target; null where an HTTP/1.0 request names none. */
  readonly authority: Authority | null;
  /** The authority as the client wrote it, which is sent to the backend as Host. */
  readonly host: string;
}

/** Why a request is invalid; `unknownCoding`: it may be valid, but its transfer coding is unknown. */
export interface RequestFault extends Fault {
  readonly unknownCoding?: true;
}

/**
 * Checks the rules for every request, plain or handshake. A fault is answered with 400, or 501 for an unknown coding, and
 * the connection is closed.
 */
export function readRequest(head: RequestHead): Request | RequestFault {
  if (head.version !== '1.1' && head.version !== '1.0') return { fault: 'the HTTP version is not 1.0 or 1.1' };
  const framing = requestFraming(head);
  if ('fault' in framing) return framing;
  const fault = connectionFault(head) ?? repeatedFault(head);
  if (fault !== null) return { fault };
  const hosts = valuesOf(head, 'host');
  if (hosts.length > 1) return { fault: 'there is more than one Host' };
  if (hosts.length === 0 && head.version === '1.1') return { fault: 'Host is missing' };
  const target = parseTarget(head.target);
  if ('fault' in target) return target;
  let host = hosts[0] ?? '';
  let authority = hosts[0] === undefined ? null : parseAuthority(hosts[0]);
  if (hosts[0] !== undefined && authority === null) return { fault: 'Host is not valid' };
  if (target.authority !== null) {
    // It replaces Host, which must still be valid.
    host = target.authority;
    authority = parseAuthority(host);
    if (authority === null) return { fault: 'Host is not valid' };
  }
  return { head, target, authority, host };
}

/** How the end of a request's body is found, or a fault if it is ambiguous (RFC 9112 §6.1, §6.3). */
export function requestFraming(head: FieldSection & { readonly version: string }): RequestBody | RequestFault {
  // Nearly every handshake has neither.
  if (!head.names.includes('content-length') && !head.names.includes('transfer-encoding')) return NO_BODY;
  const lengths = valuesOf(head, 'content-length');
  const codings = valuesOf(head, 'transfer-encoding');
  const [length] = lengths;
  if (lengths.length > 1) return { fault: 'there is more than one Content-Length' };
  if (length !== undefined && !/^\d+$/.test(length)) return { fault: 'Content-Length is not a number' };
  if (length !== undefined && length.length > MAX_LENGTH_DIGITS) return { fault: 'Content-Length is too large' };
  if (codings.length === 0) return { kind: 'length', length: Number(length) };
  if (lengths.length > 0) return { fault: 'Content-Length and Transfer-Encoding exclude each other' };
  if (head.version === '1.0') return { fault: 'HTTP/1.0 has no Transfer-Encoding' };
  if (codings.length > 1) return { fault: 'there is more than one Transfer-Encoding' };
  const coding = (codings[0] as string).toLowerCase();
  if (coding === 'chunked') return CHUNKED;
  // RFC 9112 §6.1: the end of the body is known, but its coding is not.
  const further = splitList(coding).slice(0, -1);
  if (further.length === 0 || further.includes('chunked') || !coding.endsWith('chunked'))
    return { fault: 'the only Transfer-Encoding taken is chunked' };
  return { fault: 'the only supported Transfer-Encoding is chunked', unknownCoding: true };
}

/** The framing of a request's body; it never ends with the connection. */
export type RequestBody = Exclude<Framing, { readonly kind: 'close' }>;

const NO_BODY: RequestBody = { kind: 'none' };
const CHUNKED: RequestBody = { kind: 'chunked' };
/** Digits of a length that a number holds exactly. */
const MAX_LENGTH_DIGITS = 15;

/**
 * Fields for every recipient. A client could make the gateway remove them by naming them in Connection. No
 * sender may name them (RFC 9110 §7.6.1), and without Origin a backend could not check it.
 */
const NEVER_HOP_BY_HOP = new Set(['host', 'origin', 'content-length', 'authorization', 'cookie']);

/** Whether a field, named in lower case, is forwarded even if Connection names it. */
export function isEndToEnd(name: string): boolean {
  return NEVER_HOP_BY_HOP.has(name) || name.startsWith('sec-websocket-');
}

function connectionFault(head: RequestHead): string | null {
  for (const element of listElements(head, 'connection')) {
    const name = element.toLowerCase();
    if (isEndToEnd(name)) return `Connection may not name ${name}`;
  }
  return null;
}

/** Fields that may appear once only. With two, a rule of the gateway could use one and a backend the other. */
const SINGLE = [
  ['authorization', 'Authorization'],
  ['origin', 'Origin'],
  ['sec-websocket-origin', 'Sec-WebSocket-Origin'],
] as const;

function repeatedFault({ names }: RequestHead): string | null {
  for (const [name, written] of SINGLE) {
    const at = names.indexOf(name);
    if (at !== -1 && names.includes(name, at + 1)) return `there is more than one ${written}`;
  }
  return null;
}
