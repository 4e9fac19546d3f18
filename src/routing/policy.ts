// A route's header rules and rewriting, compiled: every name, value and variable is checked here, once. Pure.
import type { ConfigPath, Problem } from '../config/problem.ts';
import type { Config, HeadersConfig, RouteConfig } from '../config/schema/schema.ts';
import { isToken } from '../http/fields.ts';
import type { FieldRules, Policy } from '../http/policy/policy.ts';
import type { PathRule } from '../http/policy/rewrite.ts';
import { compileTemplate, type FieldTemplate, type TemplateScope } from '../http/policy/template.ts';
import { normalisePath, parseAuthority } from '../http/target.ts';
import type { PathPattern } from './pattern.ts';

/** Names that are the gateway's own to write, and why. */
const RESERVED: ReadonlyMap<string, string> = new Map([
  ['host', 'rewrite.host sets it'],
  ...['connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'content-length'].map(
    (name) => [name, 'it belongs to the connection or to the framing of a message'] as const,
  ),
  ['x-gateway-reason', "it tells the gateway's own answers apart"],
]);

/** Where problems are put. */
export interface ProblemSink {
  readonly problems: Problem[];
  readonly path: ConfigPath;
}

function report({ problems, path }: ProblemSink, message: string, hint?: string): void {
  problems.push({ severity: 'error', path, message, ...(hint === undefined ? {} : { hint }) });
}

const at = ({ problems, path }: ProblemSink, ...keys: (string | number)[]): ProblemSink => ({
  problems,
  path: [...path, ...keys],
});

/** What the values of a route's fields may name: of its paths what all of them have. */
export function knownOf(route: RouteConfig, patterns: readonly PathPattern[]): TemplateScope {
  const [first = [], ...others] = patterns.map(parametersOf);
  const params = first.filter((name) => others.every((names) => names.includes(name)));
  return { params, claims: route.auth !== undefined };
}

/** Compiles a route's header policy. */
export function compilePolicy(
  global: Config['http'],
  route: RouteConfig,
  patterns: readonly PathPattern[],
  sink: ProblemSink,
): Policy {
  const { headers, rewrite } = route;
  const known = knownOf(route, patterns);
  const host = rewrite?.host ?? 'keep';
  if (host !== 'keep' && host !== 'upstream' && parseAuthority(host) === null)
    report(at(sink, 'rewrite', 'host'), `${JSON.stringify(host)} is no host`, 'keep, upstream, or host or host:port');
  const granted = at(sink, 'auth', 'forward', 'headers');
  for (const [i, name] of (route.auth?.forward?.headers ?? []).entries()) checkName(name, at(granted, i));
  return {
    forwarding: global.forwarding,
    via: global.via === 'off' ? null : global.via,
    host: host === 'keep' || host === 'upstream' ? host : { given: host },
    request: compileRules(headers?.request, known, at(sink, 'headers', 'request')),
    response: compileRules(headers?.response, known, at(sink, 'headers', 'response')),
    movesPaths: rewrite?.prefix !== undefined,
  };
}

function compileRules(rules: HeadersConfig['request'], known: TemplateScope, sink: ProblemSink): FieldRules | null {
  if (rules === undefined) return null;
  const { set = {}, append = {}, remove = [] } = rules;
  for (const [i, name] of remove.entries()) checkName(name, at(sink, 'remove', i));
  const added = [...compileFields(set, known, at(sink, 'set')), ...compileFields(append, known, at(sink, 'append'))];
  return { dropped: new Set([...Object.keys(set), ...remove].map((name) => name.toLowerCase())), added };
}

/** Compiles fields with variables in their values. */
export function compileFields(
  fields: Readonly<Record<string, string>>,
  known: TemplateScope,
  sink: ProblemSink,
): { name: string; value: FieldTemplate }[] {
  return Object.entries(fields).flatMap(([name, text]) => {
    const here = at(sink, name);
    if (!checkName(name, here)) return [];
    const value = compileTemplate(text, known);
    if (typeof value !== 'string') return [{ name, value }];
    report(here, value);
    return [];
  });
}

function checkName(name: string, sink: ProblemSink): boolean {
  const lower = name.toLowerCase();
  if (!isToken(name)) report(sink, `${JSON.stringify(name)} is no name of a field`, 'RFC 9110: letters, digits and -');
  else if (lower.startsWith('sec-websocket-')) report(sink, `${name} belongs to the handshake`);
  else if (RESERVED.has(lower)) report(sink, `${name} is not a route's to change`, RESERVED.get(lower));
  else return true;
  return false;
}

/** Compiles what a route does with paths; null: nothing. */
export function compilePathRule(
  route: RouteConfig,
  patterns: readonly PathPattern[],
  sink: ProblemSink,
): PathRule | null {
  const { prefix, path, encoded_slashes: encodedSlashes = 'keep' } = route.rewrite ?? {};
  if (prefix === undefined && path === undefined && encodedSlashes === 'keep') return null;
  if (prefix !== undefined && path !== undefined)
    report(at(sink, 'rewrite', 'prefix'), '"prefix" beside "path"', 'take one of them out');
  return {
    prefix: prefix === undefined ? null : compilePrefix(prefix, patterns, at(sink, 'rewrite', 'prefix')),
    path: path === undefined ? null : compileTargetPath(path, at(sink, 'rewrite', 'path')),
    encodedSlashes,
  };
}

/**
 * A prefix without a slash at its end. It stands for the part before `/*` of each path, so that every path must have one; an
 * exact path may be that part alone, as in `[/ws, /ws/*]`.
 */
export function compilePrefix(text: string, patterns: readonly PathPattern[], sink: ProblemSink): string | null {
  const prefixes = patterns.filter(({ prefix }) => prefix);
  const without = patterns.find((exact) => !exact.prefix && !prefixes.some((each) => isPartOf(exact, each)));
  if (without !== undefined) {
    const hint = prefixes.length === 0 ? `match.path is ${without.text}` : `${without.text} has none`;
    report(sink, 'needs a match.path that ends with "/*"', `${hint}; as in [/ws, /ws/*]`);
    return null;
  }
  const path = compileTargetPath(text, sink);
  return path === null ? null : path.replace(/\/$/, '');
}

function parametersOf({ segments }: PathPattern): string[] {
  return segments.flatMap((segment) => ('parameter' in segment ? [segment.parameter] : []));
}

/** Whether an exact path is what stands before the `/*` of the other. */
function isPartOf(exact: PathPattern, prefix: PathPattern): boolean {
  return JSON.stringify(exact.segments) === JSON.stringify(prefix.segments);
}

/** A path to be sent as it is written. */
export function compileTargetPath(text: string, sink: ProblemSink): string | null {
  const path = normalisePath(text);
  const good = text.startsWith('/') && /^[\x21-\x7e]*$/.test(text) && !/[?#*{}"<>]/.test(text);
  if (good && path === text) return text;
  report(
    sink,
    `${JSON.stringify(text)} is no path`,
    'it starts with "/", has no query, and is escaped where it must be',
  );
  return null;
}
