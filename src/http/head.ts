// A request head as one immutable value, and the judgement every request must pass before a route is looked for: version,
// Host, framing, target (RFC 9112). Pure: what node's parser already refused never gets here.

import type { Framing } from './answer.ts';
import { type FieldSection, listElements, lowerNames, splitList, valuesOf } from './fields.ts';
import { plainAddress } from './forwarding/addresses.ts';
import { type Authority, type Fault, parseAuthority, parseTarget, type Target } from './target.ts';

/** More fields than this are answered with 431 (node would drop the rest silently, and with them perhaps Origin). */
export const MAX_FIELDS = 200;

/** Start line and fields of one request, and where it came from. */
export interface RequestHead extends FieldSection {
  readonly method: string;
  readonly target: string;
  /** `1.1`, `1.0`, or whatever else the start line said; of HTTP/2 `1.1`, which its head was translated to. */
  readonly version: string;
  /** Of HTTP/2 what it was translated from: `:scheme` says what its client takes the connection for. */
  readonly http2?: Http2Origin | undefined;
  /** Whether it came over TLS. */
  readonly secure: boolean;
  /**
   * Address of the peer, an IPv4-mapped one written as IPv4; empty on a unix socket. A PROXY preamble that is believed
   * has said it already.
   */
  readonly peer: string;
}

/** A head as its server has read it; node's IncomingMessage is one. */
export interface MessageLike {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly httpVersion: string;
  readonly rawHeaders: readonly string[];
  /** The names of its fields in lower case, where they are known already. */
  readonly names?: readonly string[];
  /** Set where the head was translated from HTTP/2. */
  readonly http2?: Http2Origin;
}

/** What a head of HTTP/2 says that one of HTTP/1.1 has no word for. */
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

/** Whether a browser asks beforehand for a request of a page of another origin (Fetch §3.2.2); it shows no credentials then. */
export function isPreflight({ method, names }: RequestHead): boolean {
  return method === 'OPTIONS' && names.includes('origin') && names.includes('access-control-request-method');
}

/** A head that may be routed: its target taken apart and its authority known. */
export interface Request {
  readonly head: RequestHead;
  readonly target: Target;
  /** Host, or the authority of an absolute-form target; null where an HTTP/1.0 request names none. */
  readonly authority: Authority | null;
  /** The text behind `authority`, which goes to the backend as Host. */
  readonly host: string;
}

/** Why a request is none that a route may be looked for; `unknownCoding`: it may be sound, but is not understood. */
export interface RequestFault extends Fault {
  readonly unknownCoding?: true;
}

/**
 * Judges what holds for every request, plain or handshake; a fault is answered with 400, or 501 for an unknown coding, and
 * the connection closed.
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
    // It replaces Host, which must be valid all the same.
    host = target.authority;
    authority = parseAuthority(host);
    if (authority === null) return { fault: 'Host is not valid' };
  }
  return { head, target, authority, host };
}

/** How the end of a request's body is found, or a fault where two readers could disagree about it (RFC 9112 §6.1, §6.3). */
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
  // RFC 9112 §6.1: the end of the body is known, and its coding is not.
  const further = splitList(coding).slice(0, -1);
  if (further.length === 0 || further.includes('chunked') || !coding.endsWith('chunked'))
    return { fault: 'the only Transfer-Encoding taken is chunked' };
  return { fault: 'the only Transfer-Encoding that is understood is chunked', unknownCoding: true };
}

/** How a request says where its body ends; none ends with its connection. */
export type RequestBody = Exclude<Framing, { readonly kind: 'close' }>;

const NO_BODY: RequestBody = { kind: 'none' };
const CHUNKED: RequestBody = { kind: 'chunked' };
/** What is exact as a number, and more than anybody sends. */
const MAX_LENGTH_DIGITS = 15;

/**
 * Fields meant for every recipient that a client could have an intermediary remove by naming them in Connection; no
 * sender may name them (RFC 9110 §7.6.1), and a backend that misses Origin would check nothing.
 */
const NEVER_HOP_BY_HOP = new Set(['host', 'origin', 'content-length', 'authorization', 'cookie']);

/** Whether a field, given in lower case, stays what it is though Connection names it. */
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

/** Of these a request has one. Where there are two, a rule here could be kept by the one, and a backend go by the other. */
const SINGLE: ReadonlyMap<string, string> = new Map([
  ['authorization', 'Authorization'],
  ['origin', 'Origin'],
  ['sec-websocket-origin', 'Sec-WebSocket-Origin'],
]);

function repeatedFault({ names }: RequestHead): string | null {
  for (const [name, written] of SINGLE) {
    const at = names.indexOf(name);
    if (at !== -1 && names.includes(name, at + 1)) return `there is more than one ${written}`;
  }
  return null;
}
