// `auth.forward`: a subrequest to another server decides on each request, as nginx's auth_request and others' forward
// auth do it. Its 2xx admits and may set fields, its 401, 403 and redirects reach the client; anything else, or no
// response, refuses.
import { isUtf8 } from 'node:buffer';
import type { ForwardAuthConfig } from '../config/schema/schema-auth.ts';
import { reject } from '../handshake/rejection.ts';
import { type Fields, lowerNames, valuesOf, without } from '../http/fields.ts';
import { requestFields, responseFields } from '../http/policy/policy.ts';
import { withQuery } from '../http/policy/rewrite.ts';
import type { Reply } from '../proxy/internal-client.ts';
import { type InternalRequester, requestServer } from '../proxy/internal-request.ts';
import type { Pool, Server } from '../upstream/pool.ts';
import type { Authenticator, AuthRequest, AuthResult } from './authenticator.ts';

export interface ForwardOptions extends Omit<InternalRequester, 'pool'> {
  readonly config: ForwardAuthConfig;
  readonly pool: (upstream: string) => Pool;
}

/** Fields of the request that belong to its body or its handshake, and fields that the gateway sets itself. */
const NOT_FORWARDED = new Set([
  'content-length',
  'content-encoding',
  'content-type',
  // Announces fields behind a body in chunks; node refuses to send it without one.
  'trailer',
  'expect',
  // The response decides about the client, so the client's cache and range conditions do not apply.
  ...['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since', 'if-range', 'range'],
  'sec-websocket-key',
  'sec-websocket-version',
  'sec-websocket-extensions',
  'x-forwarded-method',
  'x-forwarded-uri',
]);
/** Fields that could describe another request to the auth server than the one to decide on; the client's own are dropped. */
const ABOUT_ANOTHER = /^x-(?:envoy-)?original-|^x-(?:rewrite-url|http-method|http-method-override|method-override)$/;
/** Framing, and fields that belong to no response of the gateway. */
const NOT_PASSED = new Set(['content-length', 'trailer']);
/** Bytes of the largest response, which a refused client gets. */
const MAX_BODY = 64 * 1024;
const NO_BODY = Buffer.alloc(0);
/** Most servers tried. */
const MAX_ATTEMPTS = 2;
/** Statuses that the client gets: it has to log in, it may not, it is redirected to log in. */
const PASSED: ReadonlySet<number> = new Set([301, 302, 303, 307, 308, 401, 403]);

/** Asks another server about each request, and takes its status for the answer. */
export function createForward({ config, pool, ...rest }: ForwardOptions): Authenticator {
  const taken = config.headers.map((name) => name.toLowerCase());
  return {
    async authenticate(asking) {
      const answered = await ask({ ...rest, pool: pool(config.upstream) }, config, asking);
      // The log has the server that failed and the reason; the client learns only that authentication is unavailable.
      if (answered === null) return reject('auth_unavailable');
      return isGood(answered.status) ? admitted(config, taken, answered) : passed(answered);
    },
  } satisfies Authenticator;
}

function isGood(status: number): boolean {
  return status >= 200 && status < 300;
}

/** The response of the first server that gives one; null where none does. */
async function ask(
  requester: InternalRequester,
  config: ForwardAuthConfig,
  asking: AuthRequest,
): Promise<Reply | null> {
  const { pool } = requester;
  const tried: Server[] = [];
  while (tried.length < MAX_ATTEMPTS && !asking.clientClosed.closed) {
    const server: Server | null = pool.pick(null, tried);
    if (server === null) return null;
    tried.push(server);
    const { reply, error } = await requestServer(requester, server, {
      id: asking.id,
      method: 'GET',
      target: config.path,
      fields: authRequestFields(asking),
      body: NO_BODY,
      timeoutMs: config.timeout,
      maxBytes: MAX_BODY,
      // A 404 is a mistake in the path, and not a decision about the client.
      failsWith: (status) => !isGood(status) && !PASSED.has(status),
    });
    if (error === null) return reply;
  }
  return null;
}

/** The client's fields, and the request to decide on: the one that the backend gets, as the routes saw it. */
function authRequestFields({ request, path, client }: AuthRequest): string[] {
  const facts = { request, client, route: '', params: {}, claims: null, granted: [] };
  const names = request.head.names.map((name) => name.replaceAll('_', '-'));
  const fields = requestFields(facts, new Set([...NOT_FORWARDED, ...names.filter((name) => ABOUT_ANOTHER.test(name))]));
  fields.push('X-Forwarded-Method', request.head.method, 'X-Forwarded-Uri', withQuery(path, request.target));
  return fields;
}

/**
 * Every field that may be set is listed, empty where the response has none: then the client's own of that name must not
 * pass.
 */
function admitted(config: ForwardAuthConfig, taken: readonly string[], { fields }: Reply): AuthResult {
  const section = { fields, names: lowerNames(fields) };
  const claims: Record<string, string> = {};
  const set = taken.flatMap((name, i) => {
    const value = valuesOf(section, name).join(', ');
    if (value !== '') claims[name] = textOf(value);
    return [config.headers[i] as string, value];
  });
  const subject = config.user === undefined ? '' : textOf(valuesOf(section, config.user.toLowerCase()).join(', '));
  return { subject: subject === '' ? null : subject, claims, expiresAt: null, fields: set };
}

/** Octets of a field as the text that they most likely are, so that a name is the same everywhere. */
function textOf(value: string): string {
  const octets = Buffer.from(value, 'latin1');
  return isUtf8(octets) ? octets.toString('utf8') : value;
}

function passed({ status, phrase, fields, body }: Reply): AuthResult {
  const answer: Fields = without(responseFields(fields), NOT_PASSED);
  return { status, phrase, answer, body };
}
