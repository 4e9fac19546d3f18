// A request head as one immutable value, and the judgement every request must pass before a route is looked for: version,
// Host, framing, target (RFC 9112). Pure: what node's parser already refused never gets here.
import { type FieldSection, listElements, lowerNames, valuesOf } from './fields.ts';
import { type Authority, type Fault, parseAuthority, parseTarget, type Target } from './target.ts';

/** More fields than this are answered with 431 (node would drop the rest silently, and with them perhaps Origin). */
export const MOST_FIELDS = 200;

/** Start line and fields of one request, and where it came from. */
export interface RequestHead extends FieldSection {
  readonly method: string;
  readonly target: string;
  /** `1.1`, `1.0`, or whatever else the start line said. */
  readonly version: string;
  /** Whether it came over TLS. */
  readonly secure: boolean;
  /** Address of the TCP peer, an IPv4-mapped one written as IPv4; empty on a unix socket. */
  readonly peer: string;
}

/** What node's IncomingMessage tells of a head. */
export interface MessageLike {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly httpVersion: string;
  readonly rawHeaders: string[];
}

/** Takes the head out of a message; only `rawHeaders` is read, since node's `headers` joins and drops fields. */
export function readHead(message: MessageLike, secure: boolean, peer: string): RequestHead {
  return {
    method: message.method ?? '',
    target: message.url ?? '',
    version: message.httpVersion,
    fields: message.rawHeaders,
    names: lowerNames(message.rawHeaders),
    secure,
    peer: plainAddress(peer),
  };
}

const MAPPED = /^::ffff:([\d.]+)$/i;

/** `::ffff:192.0.2.1` is written `192.0.2.1` everywhere. */
export function plainAddress(address: string): string {
  return MAPPED.exec(address)?.[1] ?? address;
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

/** Judges what holds for every request, plain or handshake; a fault is answered with 400 and the connection closed. */
export function readRequest(head: RequestHead): Request | Fault {
  if (head.version !== '1.1' && head.version !== '1.0') return { fault: 'the HTTP version is not 1.0 or 1.1' };
  const framing = framingFault(head) ?? connectionFault(head);
  if (framing !== null) return { fault: framing };
  const hosts = valuesOf(head, 'host');
  if (hosts.length > 1) return { fault: 'there is more than one Host' };
  if (hosts.length === 0 && head.version === '1.1') return { fault: 'Host is missing' };
  const target = parseTarget(head.target);
  if ('fault' in target) return target;
  const named = target.authority === null ? hosts : [...hosts, target.authority];
  const authorities = named.map(parseAuthority);
  if (authorities.includes(null)) return { fault: 'Host is not valid' };
  // The target's authority comes last and replaces Host, which must be valid all the same.
  return { head, target, authority: authorities.at(-1) ?? null, host: named.at(-1) ?? '' };
}

/** Message framing on which two readers could disagree (RFC 9112 §6.1, §6.3). */
function framingFault(head: RequestHead): string | null {
  const lengths = valuesOf(head, 'content-length');
  const codings = valuesOf(head, 'transfer-encoding');
  if (lengths.length > 1) return 'there is more than one Content-Length';
  if (lengths[0] !== undefined && !/^\d+$/.test(lengths[0])) return 'Content-Length is not a number';
  if (codings.length === 0) return null;
  if (lengths.length > 0) return 'Content-Length and Transfer-Encoding exclude each other';
  if (head.version === '1.0') return 'HTTP/1.0 has no Transfer-Encoding';
  if (codings.length > 1 || codings[0]?.toLowerCase() !== 'chunked')
    return 'the only Transfer-Encoding taken is chunked';
  return null;
}

/**
 * Fields meant for every recipient that a client could have an intermediary remove by naming them in Connection; no
 * sender may name them (RFC 9110 §7.6.1), and a backend that misses Origin would check nothing.
 */
const NEVER_HOP_BY_HOP = new Set(['host', 'origin', 'content-length', 'authorization', 'cookie']);

function connectionFault(head: RequestHead): string | null {
  for (const element of listElements(head, 'connection')) {
    const name = element.toLowerCase();
    if (NEVER_HOP_BY_HOP.has(name) || name.startsWith('sec-websocket-')) return `Connection may not name ${name}`;
  }
  return null;
}
