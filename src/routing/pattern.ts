// What a route's `match` can say of path and host: compiling it, matching, and whether one pattern takes everything that
// another one takes. Pure.
import { comparedHost, normalisePath } from '../http/target.ts';

/** One segment of a path pattern: text, or a parameter that takes any one segment that is not empty. */
type Segment = { readonly text: string } | { readonly parameter: string };

/** `/a`, `/a/*` or `/a/{name}`; segments are normalised as request paths are. */
export interface PathPattern {
  readonly text: string;
  readonly segments: readonly Segment[];
  /** `/*` at the end: what stands before it, a slash, and anything. */
  readonly prefix: boolean;
  /** The whole pattern where it has no parameter: a path is then compared as one string. */
  readonly literal: string | null;
}

/** Values of a pattern's parameters, still escaped as in the path. */
export type Params = Readonly<Record<string, string>>;

const NO_PARAMS: Params = Object.freeze({});
const PARAMETER = /^\{([A-Za-z_][A-Za-z0-9_]*)\}$/;

/** Compiles a path pattern; a string says what is wrong with it. */
export function compilePath(text: string): PathPattern | string {
  if (!text.startsWith('/')) return 'a path starts with "/"';
  const prefix = text.endsWith('/*');
  const body = prefix ? text.slice(0, -2) : text;
  if (/[*?#]/.test(body)) return '"*" stands only as "/*" at the end, and a path has no "?" or "#"';
  const segments: Segment[] = [];
  if (text.includes('//')) return 'a path has no empty segments; in a request "//" is read as "/"';
  for (const part of body.split('/').slice(1)) {
    const segment = compileSegment(part);
    if (typeof segment === 'string') return segment;
    segments.push(segment);
  }
  const names = segments.flatMap((segment) => ('parameter' in segment ? [segment.parameter] : []));
  if (new Set(names).size < names.length) return 'a parameter stands twice';
  const literal =
    names.length > 0 ? null : segments.map((segment) => `/${(segment as { text: string }).text}`).join('');
  return { text, segments, prefix, literal };
}

function compileSegment(part: string): Segment | string {
  const parameter = PARAMETER.exec(part)?.[1];
  if (parameter !== undefined) return { parameter };
  if (/[{}]/.test(part)) return 'a parameter is a whole segment, {name}';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\x00-\x20\x7f]/.test(part))
    return 'a space is written %20 in a path, and control characters have no place there';
  // The config has characters where a request has the octets of their UTF-8.
  const normal = normalisePath(Buffer.from(part, 'utf8').toString('latin1'));
  if (typeof normal !== 'string') return normal.fault;
  return normal === '.' || normal === '..' ? 'a path has no dot segments' : { text: normal };
}

/** The parameters where the normalised path fits, else null. */
export function matchPath(pattern: PathPattern, path: string): Params | null {
  const { literal } = pattern;
  if (literal !== null) {
    const fits = pattern.prefix ? path.startsWith(literal) && path[literal.length] === '/' : path === literal;
    return fits ? NO_PARAMS : null;
  }
  return matchSegments(pattern, path.split('/').slice(1));
}

function matchSegments(pattern: PathPattern, path: readonly string[]): Params | null {
  const { segments, prefix } = pattern;
  if (prefix ? path.length <= segments.length : path.length !== segments.length) return null;
  const params: Record<string, string> = Object.create(null);
  for (const [i, segment] of segments.entries()) {
    const part = path[i] as string;
    if ('parameter' in segment ? part === '' : part !== segment.text) return null;
    if ('parameter' in segment) params[segment.parameter] = part;
  }
  return params;
}

/** Whether every path that fits `narrow` also fits `wide`. */
export function coversPath(wide: PathPattern, narrow: PathPattern): boolean {
  const [w, n] = [wide.segments.length, narrow.segments.length];
  // A prefix asks for at least one more segment, which may be empty.
  if (wide.prefix ? n + (narrow.prefix ? 1 : 0) <= w : narrow.prefix || n !== w) return false;
  return wide.segments.every((segment, i) => coversSegment(segment, narrow.segments[i] as Segment));
}

function coversSegment(wide: Segment, narrow: Segment): boolean {
  if ('parameter' in wide) return 'parameter' in narrow || narrow.text !== '';
  return 'text' in narrow && narrow.text === wide.text;
}

/** An exact host, or a suffix with exactly one label before it. */
export interface HostPattern {
  readonly text: string;
  readonly host: string;
  readonly wildcard: boolean;
}

const HOST = /^(?:[a-z0-9._~-]+|\[[0-9a-f:.]+\])$/i;

/** Compiles `example.com` or `*.example.com`; a string says what is wrong with it. */
export function compileHost(text: string): HostPattern | string {
  const wildcard = text.startsWith('*.');
  const written = wildcard ? text.slice(2) : text;
  if (/[^\x20-\x7e]/.test(written)) return 'a host is written in its ASCII form (xn--…)';
  if (/^[^[]*:\d+$/.test(written)) return 'a host has no port; a listener has one';
  const host = HOST.test(written) ? comparedHost(written) : null;
  if (host === null || host.startsWith('.') || (wildcard && host.startsWith('[')))
    return 'a host is a name, an address, or "*." before a name';
  return { text, host, wildcard };
}

/** Whether a host, in the form of `comparedHost`, fits; an absent host fits none. */
export function matchHost(pattern: HostPattern, host: string | null): boolean {
  if (host === null) return false;
  return pattern.wildcard ? parentOf(host) === pattern.host : host === pattern.host;
}

/** What stands behind the first label; null where there is no label before a dot. */
export function parentOf(host: string): string | null {
  const dot = host.indexOf('.');
  return dot > 0 ? host.slice(dot + 1) : null;
}

/** Whether every host that fits `narrow` also fits `wide`. */
export function coversHost(wide: HostPattern, narrow: HostPattern): boolean {
  return narrow.wildcard ? wide.wildcard && wide.host === narrow.host : matchHost(wide, narrow.host);
}
