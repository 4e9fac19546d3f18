// The `auth` block of a route: by which credentials it tells who a client is.
import * as z from 'zod';
import { duration, name, token, wait } from './schema-values.ts';

/** Signature algorithms that are taken (RFC 7518 §3.1, RFC 8037, RFC 9864); `none` is not among them and can't be. */
const ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519', 'HS256', 'HS384', 'HS512'],
] as const;

const tokenPlace = z.union([
  z.literal('header'),
  z.strictObject({ cookie: token('must be the name of a cookie').describe('Name of the cookie') }),
  z.strictObject({ query: z.string().min(1).describe('Name of the query parameter') }),
  z.strictObject({
    subprotocol: token('must be the beginning of a subprotocol').describe(
      'What stands before the token in one of the offered subprotocols, such as `bearer.`',
    ),
  }),
]);

const oneOrMore = () =>
  z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]).transform((value) => [value].flat());

const jwt = z.strictObject({
  from: z
    .array(tokenPlace)
    .min(1)
    .prefault(['header'])
    .describe('Where the token is looked for; a token in the query or the subprotocols never reaches the backend'),
  keep_token: z.boolean().prefault(true).describe('Whether a token in the header or a cookie goes on to the backend'),
  jwks: z
    .url({ protocol: /^https?$/, error: 'must be an https URL' })
    .optional()
    .describe("URL of the issuer's JSON Web Key Set"),
  jwks_refresh: wait().prefault('10m').describe('A key set this old is fetched anew, while it goes on being used'),
  jwks_cooldown: wait()
    .prefault('30s')
    .describe('From one fetch to the next that an unknown key or a failure asks for'),
  jwks_timeout: wait().prefault('5s').describe('For a key set to arrive whole'),
  key: z
    .string()
    .min(1)
    .optional()
    .describe('In place of `jwks`: a public key (PEM, JWK or JWKS) or, for HS algorithms, the secret'),
  key_file: z.string().min(1).optional().describe('Path of a file that holds the key, in place of `key`'),
  algorithms: z.array(z.enum(ALGORITHMS)).min(1).describe('Algorithms that a signature may have'),
  issuer: oneOrMore().optional().describe('What `iss` must be, or a list of what it may be; unset: anything'),
  audience: oneOrMore()
    .optional()
    .describe('What `aud` must name, or a list of which it must name one; unset: anything'),
  required_claims: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean()]).transform(String))
    .optional()
    .describe('Claims that must be there with this value, or with it in their list; `*` for any value'),
  require_exp: z.boolean().prefault(true).describe('Refuse tokens that never expire'),
  max_age: wait().optional().describe('A token ends this long after its `iat`, if not before; unset: with `exp` alone'),
  clock_skew: duration().prefault('1s').describe("How far the issuer's clock may be off; `exp` is later by as much"),
});

const basic = z.strictObject({
  realm: z
    .string()
    .regex(/^[\x20-\x7e]+$/, 'must be visible ASCII')
    .prefault('upgate')
    .describe('What a browser shows when it asks for name and password'),
  users: z
    .record(z.string(), z.string())
    .optional()
    .describe('Hashes of passwords by name: scrypt (PHC form) or bcrypt'),
  users_file: z
    .string()
    .min(1)
    .optional()
    .describe('Path of a file with a line `name:hash` for each, as htpasswd writes it, in place of `users`'),
});

const FIELD = 'must be the name of a header field';

const forward = z.strictObject({
  upstream: name().describe('Upstream of the servers that are asked'),
  path: z
    .string()
    .regex(/^\/[!-~]*$/, 'must be a path that begins with "/", without spaces')
    .describe('What they are asked for, by GET'),
  timeout: wait().prefault('5s').describe('For the answer to arrive whole'),
  headers: z
    .array(token(FIELD))
    .prefault([])
    .describe(
      "Fields of the answer that go to the backend, in place of the client's own; claims of the same names too",
    ),
  user: token(FIELD).optional().describe('Field of the answer that names the client, for log, API and revocation'),
});

const certificate = z.strictObject({
  subjects: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('Subjects that are admitted, as RFC 4514 writes them (`CN=alice,O=Example`); unset: all'),
});

const recheck = z.strictObject({
  every: wait().describe('From one look to the next, give or take a tenth'),
  grace: duration()
    .prefault('1m')
    .describe('A session whose credentials nobody can judge goes on for so long, and is closed with 4401 then'),
});

export const auth = z.strictObject({
  jwt: jwt.optional().describe('JSON Web Tokens'),
  basic: basic.optional().describe('Name and password'),
  forward: forward.optional().describe('Another server says who it is'),
  certificate: certificate
    .optional()
    .describe('A certificate of the client; `tls.client_auth` of the listener says whose'),
  recheck: recheck
    .optional()
    .describe('Judge the credentials of live WebSockets again; the request that each came with is kept for it'),
  preflight: z
    .enum(['check', 'pass'])
    .prefault('check')
    .describe("CORS preflights, which carry no credentials: `pass` lets them through to the route's `http`"),
});

export type AuthConfig = z.output<typeof auth>;
export type JwtConfig = NonNullable<AuthConfig['jwt']>;
export type BasicConfig = NonNullable<AuthConfig['basic']>;
export type ForwardAuthConfig = NonNullable<AuthConfig['forward']>;
export type CertificateAuthConfig = NonNullable<AuthConfig['certificate']>;

/** The kinds of credentials; a route asks for one of them. */
export const AUTH_KINDS = ['jwt', 'basic', 'forward', 'certificate'] as const;
