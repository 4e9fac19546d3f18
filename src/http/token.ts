// The token that a request shows, taken out of it: found wherever the route looks for one, and removed from where it must
// not go on, so that nothing that comes later can see it there, log it, or send it to a backend. What it is worth is judged
// in auth/. Pure.
import { type Fields, lowerNames, trimOws, valuesOf } from './fields.ts';
import type { Request, RequestHead } from './head.ts';
import type { Fault, Target } from './target.ts';

/** Where a token may stand. */
export type TokenSource =
  /** `Authorization: Bearer` (RFC 6750 §2.1). */
  | { readonly kind: 'header' }
  | { readonly kind: 'cookie'; readonly name: string }
  /** RFC 6750 §2.3, for clients that can't set fields. */
  | { readonly kind: 'query'; readonly name: string }
  /** An offered subprotocol that begins with the prefix, and is the token from there on; for browsers. */
  | { readonly kind: 'subprotocol'; readonly prefix: string };

export interface TokenRule {
  readonly from: readonly TokenSource[];
  /** Whether a token of the header or a cookie stays where it stands. */
  readonly keep: boolean;
}

/** The token, null where there is none; a fault where there are several, or what is there is none. */
export type PresentedToken = string | Fault | null;

export interface TokenResult {
  /** The request without its token. */
  readonly request: Request;
  readonly token: PresentedToken;
}

/** RFC 6750 §2.1, b64token. */
const TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;
const MAX_LENGTH = 16 * 1024;
const BEARER = /^bearer[ \t]+(.*)$/i;

/** Takes the token out of a request. The same token in two places is one token. */
export function takeToken(rule: TokenRule, request: Request): TokenResult {
  const found = new Set<string>();
  let rest = request;
  for (const source of rule.from) rest = takeFrom(source, { request: rest, keep: rule.keep, found });
  if (rule.from.some((source) => source.kind === 'query' && hasLookAlike(request.target.query, source.name)))
    return { request: rest, token: { fault: 'the query holds what some servers would take for a token' } };
  found.delete('');
  const [token = null, ...others] = found;
  if (others.length > 0) return { request: rest, token: { fault: 'the request shows more than one token' } };
  if (token === null) return { request: rest, token };
  if (token.length > MAX_LENGTH) return { request: rest, token: { fault: 'the token is too large' } };
  return { request: rest, token: TOKEN.test(token) ? token : { fault: 'the token is malformed' } };
}

interface Taking {
  readonly request: Request;
  readonly keep: boolean;
  readonly found: Set<string>;
}

function takeFrom(source: TokenSource, { request, keep, found }: Taking): Request {
  switch (source.kind) {
    case 'header':
      for (const token of valuesOf(request.head, 'authorization').flatMap(bearerOf)) found.add(token);
      return keep
        ? request
        : editField(request, 'authorization', (value) => (bearerOf(value).length > 0 ? null : value));
    case 'cookie': {
      const rest = editField(request, 'cookie', (value) =>
        filterParts(value, ';', (pair) => {
          const token = cookieValue(pair, source.name);
          if (token !== null) found.add(token);
          return token === null;
        }),
      );
      return keep ? request : rest;
    }
    case 'query': {
      const target = editQuery(request.target, (parameter) => {
        const [[name, value] = ['', '']] = new URLSearchParams(parameter);
        if (name !== source.name) return true;
        found.add(value);
        return false;
      });
      return target === request.target
        ? request
        : { ...request, target, head: { ...request.head, target: target.raw } };
    }
    case 'subprotocol':
      return editField(request, 'sec-websocket-protocol', (value) =>
        filterParts(value, ',', (part) => {
          const name = trimOws(part);
          if (!name.startsWith(source.prefix)) return true;
          found.add(name.slice(source.prefix.length));
          return false;
        }),
      );
  }
}

/**
 * Whether a query holds a parameter that is not named so, and that some servers would read under the name all the same: in
 * other letters, behind a `;`, as an element of a list, or with a `.` or a blank for `_`.
 */
function hasLookAlike(query: string, name: string): boolean {
  return query.split('&').some((parameter) =>
    parameter.split(';').some((part, i) => {
      const [[read] = ['']] = new URLSearchParams(part);
      return (i > 0 || read !== name) && folded(read) === folded(name);
    }),
  );
}

function folded(name: string): string {
  return name.replace(/\[.*$/s, '').replace(/[. ]/g, '_').toLowerCase();
}

function bearerOf(value: string): string[] {
  const [, token] = BEARER.exec(value) ?? [];
  return token === undefined ? [] : [token];
}

function cookieValue(pair: string, name: string): string | null {
  const equals = pair.indexOf('=');
  return equals !== -1 && trimOws(pair.slice(0, equals)) === name ? trimOws(pair.slice(equals + 1)) : null;
}

/** The parts that are kept, as they stand there; null where none is left of some. */
function filterParts(text: string, separator: string, keep: (part: string) => boolean): string | null {
  const parts = text.split(separator);
  const kept = parts.filter(keep);
  if (kept.length === parts.length) return text;
  return kept.length === 0 ? null : trimOws(kept.join(separator));
}

/** Changes the values of a field, given in lower case; null takes a line out. */
function editField(request: Request, name: string, edit: (value: string) => string | null): Request {
  const { head } = request;
  if (!head.names.includes(name)) return request;
  const fields: string[] = [];
  for (const [i, each] of head.names.entries()) {
    const value = head.fields[2 * i + 1] as string;
    const edited = each === name ? edit(value) : value;
    if (edited !== null) fields.push(head.fields[2 * i] as string, edited);
  }
  return { ...request, head: withFields(head, fields) };
}

function withFields(head: RequestHead, fields: Fields): RequestHead {
  return { ...head, fields, names: lowerNames(fields) };
}

/** The target without some of its parameters; the others stay byte for byte. */
function editQuery(target: Target, keep: (parameter: string) => boolean): Target {
  const cut = target.raw.indexOf('?');
  if (cut === -1) return target;
  const parameters = target.query.split('&');
  const kept = parameters.filter(keep);
  if (kept.length === parameters.length) return target;
  const query = kept.join('&');
  const path = target.raw.slice(0, cut);
  return { ...target, query, raw: kept.length === 0 ? path : `${path}?${query}` };
}
