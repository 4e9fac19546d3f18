// A route's own idea of where its requests are on the backend: prefix and encoded slashes on the way there, Location and
// Set-Cookie on the way back. Pure.
import { comparedHost, type Fault, mergeSlashes, normalisePath, parseAuthority, type Target } from '../target.ts';

/** What a route does with paths. */
export interface PathRule {
  /** What the part before `/*` of `match.path` becomes, without a slash at its end; null: it stays. */
  readonly prefix: string | null;
  /** The whole path, whatever it was; null: it stays. */
  readonly path: string | null;
  readonly encodedSlashes: 'keep' | 'decode' | 'reject';
}

/** The pattern of the route that a path fits. */
export interface Fitting {
  /** How many segments it has before its `/*`, or in all. */
  readonly segments: number;
  /** Whether another path fits it too. */
  readonly fits: (path: string) => boolean;
}

/** Where a request goes, and what its path began with for the client and begins with for the backend. */
export interface RewrittenTarget {
  readonly target: string;
  readonly shown: string;
  readonly sent: string;
  /** The path that is sent, before it is moved, and normalised: what its route guards. */
  readonly path: string;
}

/** Rewrites a target. A path that is changed is sent normalised (RFC 3986 §6), its empty segments kept but for the first. */
export function rewriteTarget(rule: PathRule, { segments, fits }: Fitting, target: Target): RewrittenTarget | Fault {
  let path = target.sendable;
  if (rule.encodedSlashes !== 'keep' && path.includes('%2F')) {
    if (rule.encodedSlashes === 'reject') return { fault: 'the path holds an encoded slash' };
    const decoded = normalisePath(path.replaceAll('%2F', '/'));
    // There are segments now that there were not when the route was found.
    if (typeof decoded !== 'string' || !fits(mergeSlashes(decoded)))
      return { fault: 'the path, its encoded slashes decoded, leads elsewhere' };
    path = decoded;
  }
  const guarded = mergeSlashes(path);
  // A path that has nothing to do with the client's can't be mapped back.
  if (rule.path !== null) return { target: withQuery(rule.path, target), shown: '', sent: '', path: guarded };
  const shown = prefixOf(guarded, segments);
  const sent = rule.prefix ?? shown;
  if (sent !== shown) path = sent + behindPrefix(path, segments);
  return { target: path === target.sendable ? target.raw : withQuery(path, target), shown, sent, path: guarded };
}

/** A path with the query of a target, which may be an empty one. */
export function withQuery(path: string, { raw }: Target): string {
  const query = raw.indexOf('?');
  return (path === '' ? '/' : path) + (query === -1 ? '' : raw.slice(query));
}

/** The first segments of a path without empty ones, each with its slash. */
function prefixOf(path: string, segments: number): string {
  let end = 0;
  for (let i = 0; i < segments; i++) end = nextSlash(path, end + 1);
  return path.slice(0, end);
}

/**
 * What stands behind the first segments, empty ones not counted, from its slash on. It begins with one slash: two would
 * begin an authority where the prefix becomes nothing (RFC 3986 §4.2).
 */
export function behindPrefix(path: string, segments: number): string {
  let end = 0;
  for (let i = 0; i < segments; i++) end = nextSlash(path, behindSlashes(path, end));
  const begin = behindSlashes(path, end);
  return begin === end ? '' : path.slice(begin - 1);
}

function nextSlash(path: string, from: number): number {
  const next = path.indexOf('/', from);
  return next === -1 ? path.length : next;
}

function behindSlashes(path: string, from: number): number {
  let at = from;
  while (path[at] === '/') at++;
  return at;
}

/** How the backend's own addresses look to the client. */
export interface PathView {
  readonly shown: string;
  readonly sent: string;
  /** The authorities under which the backend knows itself. */
  readonly own: readonly string[];
  /** The client's origin, in place of the backend's; null where the backend knows the client's Host. */
  readonly origin: string | null;
}

const ABSOLUTE = /^(https?:)?\/\/([^/?#]*)([^?#]*)(.*)$/is;

/** A Location, or Content-Location, as the client has to see it; one that leads elsewhere stays. */
export function showLocation(value: string, view: PathView): string {
  const absolute = ABSOLUTE.exec(value);
  if (absolute) {
    const [, scheme = '', authority = '', path = '', rest = ''] = absolute;
    if (!isOwnAuthority(authority, view)) return value;
    return `${view.origin ?? `${scheme}//${authority}`}${showPath(path || '/', view)}${rest}`;
  }
  if (!value.startsWith('/')) return value;
  const end = value.search(/[?#]/);
  const path = end === -1 ? value : value.slice(0, end);
  return showPath(path, view) + value.slice(path.length);
}

/**
 * A path that begins with the prefix of the backend begins with that of the client. What is left of it never begins with two
 * slashes, nor with what a browser takes for them (a backslash; tabs between are dropped): that would lead to another host.
 */
function showPath(path: string, { shown, sent }: PathView): string {
  const under = path === sent || path.startsWith(`${sent}/`);
  if (!under) return path;
  return (shown + path.slice(sent.length) || '/').replace(/^\/[\t/\\]+/, '/');
}

/** Hosts are compared as everywhere; a port is what is written, since behind a proxy the scheme says little of it. */
function isOwnAuthority(text: string, { own }: PathView): boolean {
  const authority = parseAuthority(text);
  if (authority === null) return false;
  return own.some((each) => {
    const known = parseAuthority(each);
    return known !== null && known.host === authority.host && known.port === authority.port;
  });
}

/** A Set-Cookie with its Path as the client has to see it, and without a Domain that is the backend's own (RFC 6265). */
export function showCookie(value: string, view: PathView): string {
  const [pair = '', ...attributes] = value.split(';');
  const kept = attributes.flatMap((attribute) => {
    const equals = attribute.indexOf('=');
    const name = attribute.slice(0, equals).trim().toLowerCase();
    const given = attribute.slice(equals + 1).trim();
    if (name === 'path' && given.startsWith('/')) return [`${attribute.slice(0, equals)}=${showPath(given, view)}`];
    return name === 'domain' && view.origin !== null && isOwn(given, view) ? [] : [attribute];
  });
  return [pair, ...kept].join(';');
}

function isOwn(domain: string, { own }: PathView): boolean {
  const host = comparedHost(domain.replace(/^\./, ''));
  return host !== null && own.some((authority) => parseAuthority(authority)?.host === host);
}
