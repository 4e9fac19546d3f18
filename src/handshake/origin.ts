// Which Origin may connect (RFC 6455 §10.2, RFC 6454). Pure. Origins are compared as (scheme, host, port) tuples, never
// as text, so that no prefix, suffix or userinfo trick can pass; only what is no tuple, such as `file://`, is compared as
// the exact text that the config lists.
import { type Authority, comparedHost } from '../http/target.ts';

/** A serialised origin taken apart; `port` is the scheme's default where none is written, null where it has none. */
export interface OriginTuple {
  readonly scheme: string;
  readonly host: string;
  readonly port: number | null;
}

const DEFAULT_PORTS: ReadonlyMap<string, number> = new Map([
  ['http', 80],
  ['https', 443],
  ['ws', 80],
  ['wss', 443],
]);

const ORIGIN = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?$/;
const WILDCARD = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/\*\.([A-Za-z0-9._~-]+)(?::(\d{1,5}))?$/;

/** Parses `scheme://host[:port]` and nothing else; null for everything that is not exactly that, `null` included. */
export function parseOrigin(text: string): OriginTuple | null {
  return toTuple(ORIGIN.exec(text));
}

function toTuple(found: RegExpExecArray | null): OriginTuple | null {
  if (!found) return null;
  const scheme = (found[1] as string).toLowerCase();
  const written = (found[2] as string).toLowerCase();
  const host = comparedHost(written);
  const port = found[3] === undefined ? (DEFAULT_PORTS.get(scheme) ?? null) : Number(found[3]);
  if (host === null || (port !== null && port > 65535)) return null;
  return LIKE_ADDRESS.test(written) && !isSerialised(scheme, written) ? null : { scheme, host, port };
}

/** What ends in a number is an IPv4 address to the URL standard, however it is written. */
const LIKE_ADDRESS = /^\[|(?:^|\.)(?:\d+|0x[\da-f]*)\.?$/;

/** Whether this is the one way in which an origin writes the host: `127.1`, to a browser, is `127.0.0.1`. */
function isSerialised(scheme: string, host: string): boolean {
  const url = `${scheme}://${host}`;
  return URL.canParse(url) && new URL(url).hostname === host;
}

/** One entry of a route's `origins`. */
type OriginPattern =
  /** Compared as exact text: `null`, and what devices and apps send that is no tuple. */
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'exact'; readonly origin: OriginTuple }
  /** Exactly one label before `origin.host`. */
  | { readonly kind: 'wildcard'; readonly origin: OriginTuple };

/** A route's rule; `listed` holds compiled patterns. */
export type OriginRule =
  | { readonly kind: 'any' }
  | { readonly kind: 'same-host' }
  | { readonly kind: 'listed'; readonly patterns: readonly OriginPattern[] };

/** Visible ASCII, of which a client could not make two origins, and no `*`, which would look like a pattern. */
const TEXT = /^[\x21-\x29\x2b\x2d-\x7e]+$/;
/** What `origins` itself can be; in a list they would be origins that nobody sends. */
const WORDS = new Set(['any', 'same-host']);

/**
 * Compiles one entry of `origins`: an exact origin, `scheme://*.suffix`, or a text for what is no origin of RFC 6454; null
 * where it can't be an entry.
 */
export function parseOriginPattern(text: string): OriginPattern | null {
  const wildcard = toTuple(WILDCARD.exec(text));
  if (wildcard) return { kind: 'wildcard', origin: wildcard };
  const origin = parseOrigin(text);
  if (origin) return { kind: 'exact', origin };
  return TEXT.test(text) && !WORDS.has(text) ? { kind: 'text', text } : null;
}

/** Whether no browser sends this Origin, since it writes those of the web, and all with a host, as tuples. */
export function isUnusualText(text: string): boolean {
  return text !== 'null' && !/^(?!(?:https?|wss?):)[A-Za-z][A-Za-z0-9+.-]*:/i.test(text);
}

/** Whether an Origin that the client sent may connect; `authority` is the request's Host. */
export function originAllowed(rule: OriginRule, origin: string, authority: Authority | null): boolean {
  if (rule.kind === 'any') return true;
  const tuple = parseOrigin(origin);
  if (rule.kind === 'same-host') return tuple !== null && authority !== null && sameHost(tuple, authority);
  return rule.patterns.some((pattern) => fits(pattern, origin, tuple));
}

/** A missing port on either side is the default of the Origin's scheme: a proxy in front may have taken TLS away. */
function sameHost(origin: OriginTuple, authority: Authority): boolean {
  const port = authority.port ?? DEFAULT_PORTS.get(origin.scheme) ?? null;
  return origin.host === authority.host && origin.port === port;
}

function fits(pattern: OriginPattern, text: string, tuple: OriginTuple | null): boolean {
  if (pattern.kind === 'text') return text === pattern.text;
  if (tuple === null || tuple.scheme !== pattern.origin.scheme || tuple.port !== pattern.origin.port) return false;
  if (pattern.kind === 'exact') return tuple.host === pattern.origin.host;
  const dot = tuple.host.indexOf('.');
  return dot > 0 && tuple.host.slice(dot + 1) === pattern.origin.host;
}
