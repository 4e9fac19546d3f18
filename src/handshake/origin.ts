// Which Origin may connect (RFC 6455 §10.2, RFC 6454). Pure. Origins are compared as (scheme, host, port) tuples, never
// as text, so that no prefix, suffix or userinfo trick can pass.
import type { Authority } from '../http/target.ts';

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
  const host = (found[2] as string).toLowerCase();
  const port = found[3] === undefined ? (DEFAULT_PORTS.get(scheme) ?? null) : Number(found[3]);
  if (port !== null && port > 65535) return null;
  return LIKE_ADDRESS.test(host) && !isSerialised(scheme, host) ? null : { scheme, host, port };
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
  | { readonly kind: 'null' }
  | { readonly kind: 'exact'; readonly origin: OriginTuple }
  /** Exactly one label before `origin.host`. */
  | { readonly kind: 'wildcard'; readonly origin: OriginTuple };

/** A route's rule; `listed` holds compiled patterns. */
export type OriginRule =
  | { readonly kind: 'any' }
  | { readonly kind: 'same-host' }
  | { readonly kind: 'listed'; readonly patterns: readonly OriginPattern[] };

/** Compiles one entry of `origins`: an exact origin, `scheme://*.suffix`, or `null`; null where it is none of them. */
export function parseOriginPattern(text: string): OriginPattern | null {
  if (text === 'null') return { kind: 'null' };
  const wildcard = toTuple(WILDCARD.exec(text));
  if (wildcard) return { kind: 'wildcard', origin: wildcard };
  const origin = parseOrigin(text);
  return origin ? { kind: 'exact', origin } : null;
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
  if (pattern.kind === 'null') return text === 'null';
  if (tuple === null || tuple.scheme !== pattern.origin.scheme || tuple.port !== pattern.origin.port) return false;
  if (pattern.kind === 'exact') return tuple.host === pattern.origin.host;
  const dot = tuple.host.indexOf('.');
  return dot > 0 && tuple.host.slice(dot + 1) === pattern.origin.host;
}
