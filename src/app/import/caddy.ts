// A Caddyfile as a draft: sites become listeners and routes, their reverse proxies upstreams. What is not known is named in a
// remark beside the route it stood before.
import { lookupTable } from '../../base/lookup-table.ts';
import { authOf, isGuard } from './caddy-auth.ts';
import { headersOf } from './caddy-headers.ts';
import { CaddyListeners, type Site, siteOf } from './caddy-sites.ts';
import { type CaddyLine, parseCaddyfile } from './caddy-syntax.ts';
import { takeGlobalOptions } from './caddy-tls.ts';
import { CaddyUpstreams } from './caddy-upstreams.ts';
import {
  bySpecificity,
  type Draft,
  type DraftPart,
  hostRank,
  NamesGiven,
  prefixPaths,
  SHUT,
  type Value,
} from './draft.ts';

/** What says nothing about where a request goes. */
const WITHOUT_MEANING = new Set(['log', 'tls', 'bind', 'metrics', 'skip_log', 'log_skip']);

interface Matched {
  readonly paths: readonly string[];
  /** Only WebSocket handshakes, only other requests, or both. */
  readonly kind: 'websocket' | 'http' | 'both';
  /** It has conditions that can't be carried: less is meant than the paths say. */
  readonly partial: boolean;
  readonly remarks: readonly string[];
}

interface Found extends Matched {
  readonly site: Site;
  readonly directive: CaddyLine;
  /** Within `handle_path` the prefix is taken away. */
  readonly strips: boolean;
  /** What stands beside it and changes fields. */
  readonly beside: readonly CaddyLine[];
  /** What asks who a client is before it. */
  readonly guards: readonly CaddyLine[];
}

const EVERYTHING: Matched = { paths: ['/*'], kind: 'both', partial: false, remarks: [] };

/**
 * A draft of a config from a Caddyfile; `source` is its name in the remarks. Throws an ImportError where it can't be
 * read.
 */
export function importCaddy(text: string, source: string): Draft {
  const lines = parseCaddyfile(text);
  const remarks: string[] = [];
  const listeners = new CaddyListeners();
  const upstreams = new CaddyUpstreams();
  const found: Found[] = [];
  for (const { words, block, line } of sitesOf(lines)) {
    if (words.length === 0) {
      const left = takeGlobalOptions(block ?? [], listeners.options).map(({ words: [name] }) => name);
      if (left.length > 0) remarks.push(`line ${line}: of the global options are not carried: ${left.join(', ')}`);
      continue;
    }
    const site = siteOf(words, block ?? [], listeners);
    remarks.push(...site.remarks);
    found.push(...directivesOf(site, block ?? [], { outer: EVERYTHING, strips: false, guards: [] }, remarks));
  }
  const names = new NamesGiven();
  const routes = withoutShadowed(inOrder(found)).map((each) => routeOf(each, upstreams, names));
  return {
    source,
    remarks,
    listeners: listeners.parts(),
    upstreams: upstreams.parts(),
    routes: [...listeners.redirects(names), ...(routes.length === 0 ? [NOTHING_FOUND] : routes)],
  };
}

const NOTHING_FOUND: DraftPart = {
  remarks: ['no site has a reverse_proxy, redir or respond'],
  value: { name: 'nothing', respond: { status: 404 } },
};

/** A file of one site may have no braces: the first line is its address, the rest what it does. */
function sitesOf(lines: readonly CaddyLine[]): readonly CaddyLine[] {
  const [first, ...rest] = lines;
  if (first === undefined || first.block !== null || rest.some(({ words }) => words.length === 0)) return lines;
  return [{ ...first, block: rest }];
}

interface Within {
  readonly outer: Matched;
  readonly strips: boolean;
  readonly guards: readonly CaddyLine[];
}

const ANSWERS = new Set(['reverse_proxy', 'redir', 'respond', 'abort', 'error']);
/** Of the guards before a route, those that are named beside it; one that can't be carried is enough to shut it. */
const MAX_GUARDS = 4;

const REFUSALS = new Set(['respond', 'abort', 'error']);
const HANDLES = new Set(['handle', 'handle_path', 'route']);

/** The directives of a block that answer, with what they match; remarks for those that are not known. */
function directivesOf(site: Site, block: readonly CaddyLine[], within: Within, remarks: string[]): Found[] {
  const matchers = new Map(
    block.flatMap((each) => (each.words[0]?.startsWith('@') ? [[each.words[0], each] as const] : [])),
  );
  const beside = block.filter(({ words }) => words[0] === 'header' || words[0] === 'request_header');
  const found: Found[] = [];
  const ofAll = block.filter((each) => guardsAll(each, matchOf(each, matchers, within.outer).matched, within.outer));
  const guards = [...within.guards, ...ofAll].slice(0, MAX_GUARDS);
  const taken = new Set(ofAll);
  for (const directive of block) {
    const [word = ''] = directive.words;
    if (taken.has(directive)) continue;
    if (word.startsWith('@') || WITHOUT_MEANING.has(word) || beside.includes(directive)) continue;
    if (!ANSWERS.has(word) && !HANDLES.has(word) && !isGuard(directive)) {
      remarks.push(`line ${directive.line}: ${directive.words.join(' ')} is not carried`);
      continue;
    }
    const { matched, rest } = matchOf(directive, matchers, within.outer);
    if (HANDLES.has(word)) {
      const strips = within.strips || word === 'handle_path';
      found.push(...directivesOf(site, directive.block ?? [], { outer: matched, strips, guards }, remarks));
    } else {
      const own = isGuard(directive) ? [...guards, directive] : guards;
      found.push({ ...matched, site, directive: rest, strips: within.strips, beside, guards: own });
    }
  }
  return found;
}

/** Whether a directive keeps some from all that stands beside it: as credentials do, and an answer to whom can't be said here. */
function guardsAll(directive: CaddyLine, matched: Matched, outer: Matched): boolean {
  const [word = ''] = directive.words;
  if (matched.paths.join(' ') !== outer.paths.join(' ')) return false;
  return isGuard(directive) || (REFUSALS.has(word) && matched.partial);
}

/** What the first word matches, where it is a matcher; else everything that the block around matches. */
function matchOf(
  directive: CaddyLine,
  matchers: ReadonlyMap<string, CaddyLine>,
  outer: Matched,
): { matched: Matched; rest: CaddyLine } {
  const [word = '', first = '', ...others] = directive.words;
  const rest = { ...directive, words: [word, ...others] };
  if (first === '*') return { matched: outer, rest };
  if (first.startsWith('/') && (word !== 'redir' || others.length > 0))
    return { matched: { ...outer, ...pathsOf([first]) }, rest };
  const named = matchers.get(first);
  if (first.startsWith('@') && named !== undefined) return { matched: namedMatch(named, outer), rest };
  return { matched: outer, rest: directive };
}

function pathsOf(given: readonly string[]): Pick<Matched, 'paths' | 'remarks'> {
  const remarks: string[] = [];
  const paths = given.flatMap((path) => {
    if (path === '*' || path === '/*') return ['/*'];
    if (path.endsWith('/*')) return [path];
    if (!path.endsWith('*')) return [path];
    const prefix = path.slice(0, -1);
    remarks.push(`Caddy's ${path} takes paths such as ${prefix}x as well; this one does not`);
    return prefixPaths(prefix);
  });
  return { paths: [...new Set(paths)], remarks };
}

function namedMatch({ words, block }: CaddyLine, outer: Matched): Matched {
  const conditions = block === null ? [words.slice(1)] : block.map((each) => each.words);
  let { paths, kind, partial } = outer;
  const remarks: string[] = [];
  for (const [name, ...args] of conditions) {
    if (name === 'path') {
      const found = pathsOf(args);
      paths = found.paths;
      remarks.push(...found.remarks);
    } else if (name === 'header' && /^(?:upgrade|connection)$/i.test(args[0] ?? '')) kind = 'websocket';
    else if (name === 'not' && /^header (?:upgrade|connection)/i.test(args.join(' '))) kind = 'http';
    else {
      remarks.push(`matcher ${words[0]}: ${[name, ...args].join(' ')} is not carried`);
      partial = true;
    }
  }
  return { paths, kind, partial, remarks };
}

function inOrder(found: readonly Found[]): Found[] {
  const rank = { websocket: 0, http: 0, both: 1 } as const;
  return [...found].sort(
    (one, other) =>
      hostRank(one.site.hosts) - hostRank(other.site.hosts) ||
      bySpecificity(one.paths, other.paths) ||
      rank[one.kind] - rank[other.kind],
  );
}

/**
 * A handshake, or another request, that the same paths of a site take before is none of this one: the first route that fits takes
 * it, and one that is never reached is an error here.
 */
function withoutShadowed(found: readonly Found[]): Found[] {
  const taken = new Map<Site, Map<string, Set<Found['kind']>>>();
  return found.map((one) => {
    const { site, kind } = one;
    const ofSite = taken.get(site) ?? new Map<string, Set<Found['kind']>>();
    const key = one.paths.join(' ');
    const before = ofSite.get(key) ?? new Set();
    taken.set(site, ofSite.set(key, new Set([...before, kind])));
    if (kind === 'both' && before.has('websocket')) return { ...one, kind: 'http' };
    return kind === 'both' && before.has('http') ? { ...one, kind: 'websocket' } : one;
  });
}

function routeOf(found: Found, upstreams: CaddyUpstreams, names: NamesGiven): DraftPart {
  const { site, paths, kind, directive, strips, beside } = found;
  const [word = '', ...args] = directive.words;
  const [path = '/*'] = paths;
  const host = site.hosts?.[0]?.replace('*.', '') ?? '';
  const name = names.take(
    `${host}${path === '/*' ? `-${kind === 'websocket' ? 'ws' : 'all'}` : path.replaceAll('/', '-').replaceAll('*', '')}`,
  );
  const single = (values: readonly string[] | undefined): Value | undefined =>
    values?.length === 1 ? values[0] : values;
  const remarks = [...found.remarks];
  // Those who are not meant must not come in by it.
  const opens = found.partial && !REFUSALS.has(word);
  if (opens) remarks.push(`line ${directive.line}: say what it takes`);
  const match = {
    host: single(site.hosts),
    path: opens ? `/line-${directive.line}` : single(paths),
    scheme: site.scheme,
  };
  const own = ownAnswer(word, args, remarks);
  if (own !== null) return { remarks, value: { name, match, ...own } };
  const auth = authOf(found.guards, remarks);
  if (auth === null || isGuard(directive)) return { remarks, value: { name, match, respond: SHUT } };
  const proxy = upstreams.add({ words: args, block: directive.block ?? [], line: directive.line }, remarks);
  if (proxy === null) return { remarks, value: { name, match, respond: { status: 501, body: 'not carried over' } } };
  if (kind !== 'http') remarks.push('Caddy asks for no Origin; list the pages that may connect in place of `any`');
  const headers = headersOf([...proxy.fields, ...beside], remarks);
  const rewrite = { prefix: strips ? '/' : undefined, host: headers.host };
  return {
    remarks,
    value: {
      name,
      match,
      auth,
      websocket: kind === 'http' ? undefined : { mode: 'splice', upstream: proxy.upstream, origins: 'any' },
      http: kind === 'websocket' ? undefined : { upstream: proxy.upstream },
      rewrite: strips || headers.host !== undefined ? rewrite : undefined,
      headers: headers.value,
    },
  };
}

/** Null where another server answers. */
function ownAnswer(word: string, args: readonly string[], remarks: string[]): { [key: string]: Value } | null {
  if (word === 'respond') return { respond: responseOf(args) };
  if (word === 'error') return { respond: responseOf([...args, '500']) };
  if (word === 'redir') return redirectOf(args, remarks);
  if (word !== 'abort') return null;
  remarks.push('Caddy closes the connection; a request gets an answer here');
  return { respond: { status: 403 } };
}

function responseOf(args: readonly string[]): Value {
  const status = args.map(Number).find((number) => Number.isInteger(number) && number >= 200 && number <= 599) ?? 200;
  const body = args.find((text) => !/^\d{3}$/.test(text));
  return { status, body };
}

function redirectOf([target = '', code = '302']: readonly string[], remarks: string[]): { [key: string]: Value } {
  const STATUSES: Readonly<Record<string, number>> = lookupTable({ permanent: 301, temporary: 302 });
  const status = STATUSES[code] ?? Number(code);
  const [whole, scheme, host, port, rest] =
    /^(?:(https?):\/\/(\{host\}|[^/:{]+)(?::(\d+))?)?(\{uri\}|\/[^{}]*)?$/.exec(target) ?? [];
  if (whole === undefined) {
    remarks.push(`redir ${target} is not carried`);
    return { respond: { status: 501, body: 'not carried over' } };
  }
  const redirect = {
    status: [301, 302, 303, 307, 308].includes(status) ? status : 302,
    scheme,
    host: host === '{host}' ? undefined : host,
    port: port === undefined ? undefined : Number(port),
    path: rest === '{uri}' ? undefined : rest,
  };
  return { redirect: redirect as unknown as Value };
}
