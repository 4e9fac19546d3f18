// The request target (RFC 9112 §3.2) and its path, normalised for matching only: what is forwarded is the target as it
// came. Pure.
import { isIP } from 'node:net';
import { shortAddress } from './forwarding/addresses.ts';

/** A target taken apart. */
export interface Target {
  /** What goes to a backend: the target as it came, in origin-form or `*`. */
  readonly raw: string;
  /** Normalised for matching, its empty segments left out. */
  readonly path: string;
  /** The same with its empty segments: what is sent where a route changes the path. */
  readonly sendable: string;
  /** Without its `?`; empty where there is none. */
  readonly query: string;
  /** The authority of an absolute-form target, which replaces Host (RFC 9112 §3.2.2); null for the other forms. */
  readonly authority: string | null;
}

/** Why something could not be read; the text is for the client. */
export interface Fault {
  readonly fault: string;
}

const ABSOLUTE = /^(?:https?|wss?):\/\/([^/?#]*)(.*)$/i;
// Raw control characters, SP and DEL have no place in a target, and a fragment is never sent.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const FORBIDDEN = /[\x00-\x20\x7f#]/;

/** Reads a target of any form but authority-form, which only CONNECT has. */
export function parseTarget(text: string): Target | Fault {
  if (text === '*') return { raw: '*', path: '*', sendable: '*', query: '', authority: null };
  if (FORBIDDEN.test(text)) return { fault: 'the target holds a character that is not allowed' };
  const absolute = text.startsWith('/') ? null : ABSOLUTE.exec(text);
  const authority = absolute ? (absolute[1] as string) : null;
  const raw = absolute ? withRoot(absolute[2] as string) : text;
  if (!raw.startsWith('/')) return { fault: 'the target is neither a path nor an absolute URL' };
  const cut = raw.indexOf('?');
  const sendable = normalisePath(cut === -1 ? raw : raw.slice(0, cut));
  if (typeof sendable !== 'string') return sendable;
  return { raw, path: mergeSlashes(sendable), sendable, query: cut === -1 ? '' : raw.slice(cut + 1), authority };
}

/**
 * A path without its empty segments. Most servers read `//admin/x` as `/admin/x`, so that the rules of `/admin/*` must hold
 * for it; what is sent to a backend keeps them.
 */
export function mergeSlashes(path: string): string {
  return path.includes('//') ? path.replace(/\/{2,}/g, '/') : path;
}

/** The path for a log: no query, and of an absolute-form target no authority, in which credentials could stand. */
export function loggedPath(target: string): string {
  const path = target.startsWith('/') ? target : target.replace(/^[^/?#]*:\/\/[^/?#]*/, '');
  const end = path.search(/[?#]/);
  return end === -1 ? path : path.slice(0, end);
}

/** `http://host?x` has an empty path, which is `/` (RFC 9110 §4.2.3). */
function withRoot(rest: string): string {
  return rest.startsWith('/') ? rest : `/${rest}`;
}

/**
 * The path as it can be sent (RFC 3986 §6.2.2): escaped unreserved characters are decoded, other escapes are written
 * in upper case, octets beyond ASCII are escaped, dot segments are resolved. `%2F` and `//` stay, `;` is
 * ordinary. A fault: an escape that is none, `%00`, a backslash (which some read as a slash), dot segments that climb
 * above the root, or `..` where readers disagree about segments. A query may hold a backslash: browsers send one as it is.
 */
export function normalisePath(path: string): string | Fault {
  if (path.includes('\\')) return { fault: 'the path holds a backslash' };
  let plain = path;
  // Nearly every path needs none of it, and this runs for every request.
  if (/[%\u0080-\uffff]/.test(path)) {
    const decoded = decodeUnreserved(path);
    if (typeof decoded !== 'string') return decoded;
    plain = decoded;
  }
  if (plain.includes('..') && HIDDEN_DOTS.test(plain)) return UNSURE;
  return plain.includes('/.') ? resolveDots(plain) : plain;
}

const UNSURE: Fault = { fault: 'the path holds a ".." that not everyone would read alike' };
/** A `..` that is a segment only to a backend that decodes `%2F` or `%5C`, or drops parameters behind `;`. */
const HIDDEN_DOTS = /(?:\/|%2F|%5C)\.\.(?:%2F|%5C|;)|(?:%2F|%5C)\.\.(?:\/|$)/;
/** A segment that is several, or none, to such a backend, or to one that merges `//`: what `..` removes is unsure. */
const UNSURE_SEGMENT = /^$|^\.?;|%2F|%5C/;

function decodeUnreserved(path: string): string | Fault {
  if (/%(?![0-9A-Fa-f]{2})/.test(path)) return { fault: 'the path holds a "%" that starts no escape' };
  if (path.includes('%00')) return { fault: 'the path holds a NUL' };
  return path.replace(/%[0-9A-Fa-f]{2}|[\u0080-\uffff]/g, (found) => {
    // node gives each octet of a head as one character.
    if (found[0] !== '%') return `%${found.charCodeAt(0).toString(16).toUpperCase()}`;
    const char = String.fromCharCode(Number.parseInt(found.slice(1), 16));
    return /[A-Za-z0-9\-._~]/.test(char) ? char : found.toUpperCase();
  });
}

/** RFC 3986 §5.2.4, but a `..` with nothing left to remove is a fault instead of nothing. */
function resolveDots(path: string): string | Fault {
  const kept: string[] = [];
  const segments = path.split('/').slice(1);
  for (const [i, segment] of segments.entries()) {
    const last = i === segments.length - 1;
    if (segment === '.' || segment === '..') {
      const removed = segment === '..' ? kept.pop() : segment;
      if (removed === undefined) return { fault: 'the path climbs above the root' };
      if (UNSURE_SEGMENT.test(removed)) return UNSURE;
      if (last) kept.push('');
    } else {
      kept.push(segment);
    }
  }
  return `/${kept.join('/')}`;
}

/** A host as hosts are compared, and its port as written. */
export interface Authority {
  /** By `comparedHost`. */
  readonly host: string;
  /** Null where none is written. */
  readonly port: number | null;
}

const AUTHORITY = /^([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{0,5}))?$/;

/**
 * Reads the value of Host, or the authority of a target: no userinfo, no list, no empty host; else null. An empty port is
 * none (RFC 3986 §3.2.3).
 */
export function parseAuthority(text: string): Authority | null {
  const found = AUTHORITY.exec(text);
  if (!found) return null;
  const host = comparedHost(found[1] as string);
  const port = found[2] ? Number(found[2]) : null;
  return host === null || (port !== null && port > 65535) ? null : { host, port };
}

/**
 * The one form in which hosts are compared: lower case, without the final dot of a name that is written in full, an IPv6
 * address in its brackets and as RFC 5952 writes it. Null for what names nothing: an empty label behind another, no address
 * in brackets.
 */
export function comparedHost(text: string): string | null {
  if (text.startsWith('[')) {
    const address = text.slice(1, -1);
    return isIP(address) === 6 ? `[${shortAddress(address)}]` : null;
  }
  const host = (text.endsWith('.') ? text.slice(0, -1) : text).toLowerCase();
  return host === '' || host.includes('..') || host.endsWith('.') ? null : host;
}
