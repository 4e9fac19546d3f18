// A route's own idea of where its requests are on the backend: prefix and encoded slashes on the way there, Location and
// Set-Cookie on the way back. Pure.
import { type Fault, normalisePath, type Target } from './target.ts';

/** What a route does with paths. */
export interface PathRule {
  /** How many segments of the path `match.path` has before its `/*`. */
  readonly segments: number;
  /** What they become, without a slash at its end; null: they stay. */
  readonly prefix: string | null;
  readonly encodedSlashes: 'keep' | 'decode' | 'reject';
  /** Whether a path still belongs to the route. */
  readonly fits: (path: string) => boolean;
}

/** Where a request goes, and what its path began with for the client and begins with for the backend. */
export interface Sent {
  readonly target: string;
  readonly shown: string;
  readonly sent: string;
  /** The path that is sent, before its prefix is changed, and normalised: what its route guards. */
  readonly path: string;
}

/** Rewrites a target. A path that is changed is sent as it was matched: normalised (RFC 3986 §6). */
export function rewriteTarget(rule: PathRule, target: Target): Sent | Fault {
  let { path } = target;
  if (rule.encodedSlashes !== 'keep' && path.includes('%2F')) {
    if (rule.encodedSlashes === 'reject') return { fault: 'the path holds an encoded slash' };
    const decoded = normalisePath(path.replaceAll('%2F', '/'));
    // There are segments now that there were not when the route was found.
    if (typeof decoded !== 'string' || !rule.fits(decoded))
      return { fault: 'the path, its encoded slashes decoded, leads elsewhere' };
    path = decoded;
  }
  const shown = prefixOf(path, rule.segments);
  const sent = rule.prefix ?? shown;
  if (path === target.path && sent === shown) return { target: target.raw, shown, sent, path };
  return { target: withQuery(sent + path.slice(shown.length), target), shown, sent, path };
}

/** A path with the query of a target, which may be an empty one. */
export function withQuery(path: string, { raw }: Target): string {
  const query = raw.indexOf('?');
  return (path === '' ? '/' : path) + (query === -1 ? '' : raw.slice(query));
}

/** The first segments of a path, each with its slash. */
export function prefixOf(path: string, segments: number): string {
  let end = 0;
  for (let i = 0; i < segments; i++) {
    const next = path.indexOf('/', end + 1);
    end = next === -1 ? path.length : next;
  }
  return path.slice(0, end);
}

/** How the backend's own addresses look to the client. */
export interface View {
  readonly shown: string;
  readonly sent: string;
  /** The authorities under which the backend knows itself, in lower case. */
  readonly own: readonly string[];
  /** The client's origin, in place of the backend's; null where the backend knows the client's Host. */
  readonly origin: string | null;
}

const ABSOLUTE = /^(https?:)?\/\/([^/?#]*)([^?#]*)(.*)$/is;

/** A Location, or Content-Location, as the client has to see it; one that leads elsewhere stays. */
export function showLocation(value: string, view: View): string {
  const absolute = ABSOLUTE.exec(value);
  if (absolute) {
    const [, scheme = '', authority = '', path = '', rest = ''] = absolute;
    if (!view.own.includes(authority.toLowerCase())) return value;
    return `${view.origin ?? `${scheme}//${authority}`}${showPath(path || '/', view)}${rest}`;
  }
  if (!value.startsWith('/')) return value;
  const end = value.search(/[?#]/);
  const path = end === -1 ? value : value.slice(0, end);
  return showPath(path, view) + value.slice(path.length);
}

function showPath(path: string, { shown, sent }: View): string {
  const under = path === sent || path.startsWith(`${sent}/`);
  return under ? shown + path.slice(sent.length) || '/' : path;
}

/** A Set-Cookie with its Path as the client has to see it, and without a Domain that is the backend's own (RFC 6265). */
export function showCookie(value: string, view: View): string {
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

function isOwn(domain: string, { own }: View): boolean {
  const host = domain.replace(/^\./, '').toLowerCase();
  return own.some((authority) => authority.replace(/:\d*$/, '') === host);
}
