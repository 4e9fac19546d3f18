// The request target (RFC 9112 §3.2) and its path. The path is normalised for matching only; the target is forwarded
// unchanged. Pure.
import { isIP } from 'node:net';
import { shortAddress } from './forwarding/addresses.ts';

/** A parsed target. */
export interface Target {
  /** The unchanged target for the backend, in origin-form or `*`. */
  readonly raw: string;
  /** Normalised for matching, without empty segments. */
  readonly path: string;
  /** The same with empty segments, which is sent if a route changes the path. */
  readonly sendable: string;
  /** Without its `?`; empty if there is none. */
  readonly query: string;
  /** The authority of an absolute-form target, which replaces Host (RFC 9112 §3.2.2); null for the other forms. */
  readonly authority: string | null;
}

/** Why a target is invalid; the text is for the client. */
export interface Fault {
  readonly fault: string;
}

const ABSOLUTE = /^(?:https?|wss?):\/\/([^/?#]*)(.*)$/i;
// A target has no raw control characters, SP or DEL, and no fragment.
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
 * A path without its empty segments. Most servers read `//admin/x` as `/admin/x`, so the rules of `/admin/*` must apply to
 * it. The path that is sent to a backend keeps them.
 */
export function mergeSlashes(path: string): string {
  return path.includes('//') ? path.replace(/\/{2,}/g, '/') : path;
}

/** The path for a log, without the query and without the authority of an absolute-form target, which may have credentials. */
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
  // Fast path: nearly no path needs this, and it runs for every request.
  if (/[%\u0080-\uffff]/.test(path)) {
    const decoded = decodeUnreserved(path);
    if (typeof decoded !== 'string') return decoded;
    plain = decoded;
  }
  if (plain.includes('..') && HIDDEN_DOTS.test(plain)) return UNSURE;
  return plain.includes('/.') ? resolveDots(plain) : plain;
}

const UNSURE: Fault = { fault: 'the path holds a ".." that not everyone would read alike' };
/** A `..` that is a segment only for a backend that decodes `%2F` or `%5C`, or drops parameters after `;`. */
const HIDDEN_DOTS = /(?:\/|%2F|%5C)\.\.(?:%2F|%5C|;)|(?:%2F|%5C)\.\.(?:\/|$)/;
/** A segment that such a backend, or one that merges `//`, reads as several or none, so that the effect of `..` is ambiguous. */
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

/** RFC 3986 §5.2.4, except that a `..` above the root is a fault. */
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

/** A host in the form for comparison, and its port as written. */
export interface Authority {
  /** From `comparedHost`. */
  readonly host: string;
  /** Null where none is written. */
  readonly port: number | null;
}

const AUTHORITY = /^([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{0,5}))?$/;

/**
 * Parses the value of Host, or the authority of a target. Null if it has userinfo, is a list, or has an empty host. An empty
 * port counts as none (RFC 3986 §3.2.3).
 */
export function parseAuthority(text: string): Authority | null {
  const found = AUTHORITY.exec(text);
  if (!found) return null;
  const host = comparedHost(found[1] as string);
  const port = found[2] ? Number(found[2]) : null;
  return host === null || (port !== null && port > 65535) ? null : { host, port };
}

/**
 * The form in which hosts are compared: lower case, without a final dot, an IPv6 address in brackets and in the form of
 * RFC 5952. Null for an invalid host: an empty label after another, or brackets without an
 * address.
 */
export function comparedHost(text: string): string | null {
  if (text.startsWith('[')) {
    const address = text.slice(1, -1);
    return isIP(address) === 6 ? `[${shortAddress(address)}]` : null;
  }
  const host = (text.endsWith('.') ? text.slice(0, -1) : text).toLowerCase();
  return host === '' || host.includes('..') || host.endsWith('.') ? null : host;
}
