// What a route answers by itself: redirects and fixed responses, compiled, and the answer for one request. Pure.
import type { RedirectConfig, RespondConfig, RouteConfig } from '../config/schema/schema.ts';
import type { Claims } from '../http/claims.ts';
import type { Client } from '../http/forwarding/forwarded.ts';
import type { Request } from '../http/head.ts';
import { behindPrefix, withQuery } from '../http/policy/rewrite.ts';
import type { Facts, FieldTemplate, TemplateScope } from '../http/policy/template.ts';
import { parseAuthority } from '../http/target.ts';
import type { Params, PathPattern } from './pattern.ts';
import { compileFields, compilePrefix, compileTargetPath, knownOf, type ProblemSink } from './policy.ts';

/** An answer of the gateway's own. */
export interface DirectResponse {
  readonly status: number;
  /** Flat. */
  readonly fields: (client: Client, claims: Claims | null) => string[];
  /** Null: none, and no length of one. */
  readonly body: string | null;
}

interface OfRoute {
  readonly route: { readonly name: string };
  readonly pattern: PathPattern;
  readonly params: Params;
}

/** A route's own answer to a request that fits it; null where it needs a Host and there is none. */
export type DirectResponseRule = (request: Request, fit: OfRoute) => DirectResponse | null;

const at = ({ problems, path }: ProblemSink, ...keys: string[]): ProblemSink => ({
  problems,
  path: [...path, ...keys],
});

/** Compiles `redirect` or `respond` of a route; null where it has neither. */
export function compileDirectResponse(
  route: RouteConfig,
  patterns: readonly PathPattern[],
  sink: ProblemSink,
): DirectResponseRule | null {
  const { redirect, respond } = route;
  if (redirect !== undefined) return compileRedirect(route, redirect, patterns, at(sink, 'redirect'));
  if (respond !== undefined) return compileRespond(respond, knownOf(route, patterns), at(sink, 'respond'));
  return null;
}

function compileRedirect(
  route: RouteConfig,
  config: RedirectConfig,
  patterns: readonly PathPattern[],
  sink: ProblemSink,
): DirectResponseRule {
  const { scheme, host, port, status } = config;
  const { problems, path } = sink;
  const fault = (key: string, message: string, hint: string): void =>
    void problems.push({ severity: 'error', path: [...path, key], message, hint });
  if (host !== undefined && parseAuthority(host)?.port !== null)
    fault('host', `${JSON.stringify(host)} is no host`, 'without a port; that is port');
  const fixed = config.path === undefined ? null : compileTargetPath(config.path, at(sink, 'path'));
  const prefix = config.prefix === undefined ? null : compilePrefix(config.prefix, patterns, at(sink, 'prefix'));
  if (config.path !== undefined && config.prefix !== undefined)
    fault('prefix', '"prefix" beside "path"', 'take one of them out');
  const moves = [host, port, config.path, config.prefix].some((key) => key !== undefined);
  if (scheme === undefined && !moves) {
    problems.push({ severity: 'error', path, message: 'changes nothing', hint: 'such as scheme: https' });
  } else if (!moves && (route.match.scheme === undefined || route.match.scheme === scheme)) {
    const other = scheme === 'https' ? 'http' : 'https';
    fault('scheme', 'would redirect to itself', `match only the others: match: { scheme: ${other} }`);
  }
  return (request, { pattern }) => {
    const authority = authorityFor(config, request);
    if (authority === null) return null;
    const { target, head } = request;
    const kept = prefix === null ? null : prefix + behindPrefix(target.sendable, pattern.segments.length);
    const path = fixed ?? kept;
    const to = `${scheme ?? (head.secure ? 'https' : 'http')}://${authority}${path === null ? target.raw : withQuery(path, target)}`;
    return { status, fields: () => ['Location', to], body: null };
  };
}

/** Where the scheme or the host changes, the port that the client used means nothing any more. */
function authorityFor({ scheme, host, port }: RedirectConfig, { authority, head }: Request): string | null {
  const name = host ?? authority?.host;
  if (name === undefined) return null;
  const sameScheme = scheme === undefined || (scheme === 'https') === head.secure;
  const kept = host === undefined && sameScheme ? (authority?.port ?? null) : null;
  const to = port ?? kept;
  return to === null ? name : `${name}:${to}`;
}

function compileRespond(config: RespondConfig, known: TemplateScope, sink: ProblemSink): DirectResponseRule {
  const { status, body, content_type } = config;
  const bodiless = status === 204 || status === 205 || status === 304;
  if (bodiless && body !== undefined) {
    const message = `an answer with status ${status} has no body`;
    sink.problems.push({ severity: 'error', path: [...sink.path, 'body'], message });
  }
  const own: Record<string, string> = body === undefined ? {} : { 'Content-Type': content_type };
  const added = [
    ...compileFields(own, { params: [], claims: false }, at(sink, 'content_type')),
    ...compileFields(config.headers ?? {}, known, at(sink, 'headers')),
  ];
  return (request, { route, params }) => ({
    status,
    fields: (client, claims) => render(added, { request, client, route: route.name, params, claims, granted: [] }),
    body: bodiless ? null : (body ?? ''),
  });
}

function render(added: readonly { name: string; value: FieldTemplate }[], facts: Facts): string[] {
  return added.flatMap(({ name, value }) => {
    const text = value(facts);
    return text === null ? [] : [name, text];
  });
}
