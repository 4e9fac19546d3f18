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
      'Prefix of the offered subprotocol that has the token, such as `bearer.`',
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
    .describe('Where the client sends the token; a token in the query or the subprotocols never reaches the backend'),
  keep_token: z.boolean().prefault(true).describe('Whether the backend gets a token from the header or a cookie'),
  jwks: z
    .url({ protocol: /^https?$/, error: 'must be an https URL' })
    .optional()
    .describe("URL of the issuer's JSON Web Key Set"),
  jwks_refresh: wait().prefault('10m').describe('Age at which a key set is fetched again; it stays in use meanwhile'),
  jwks_cooldown: wait()
    .prefault('30s')
    .describe('Shortest time between two fetches because of an unknown key or a failure'),
  jwks_timeout: wait().prefault('5s').describe('Time for fetching a key set'),
  key: z
    .string()
    .min(1)
    .optional()
    .describe('Instead of `jwks`: a public key (PEM, JWK or JWKS) or, for HS algorithms, the secret'),
  key_file: z.string().min(1).optional().describe('Path of a file with the key, instead of `key`'),
  algorithms: z.array(z.enum(ALGORITHMS)).min(1).describe('Accepted algorithms of signatures'),
  issuer: oneOrMore().optional().describe('Required value of `iss`, or a list of accepted ones; unset: any'),
  audience: oneOrMore().optional().describe('Required value in `aud`, or a list of which it must have one; unset: any'),
  required_claims: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean()]).transform(String))
    .optional()
    .describe('Claims that must have this value, or contain it in a list; `*` is any value'),
  require_exp: z.boolean().prefault(true).describe('Refuse tokens that never expire'),
  max_age: wait().optional().describe('Reject tokens this long after their `iat`; unset: only `exp` counts'),
  clock_skew: duration().prefault('1s').describe("How far the issuer's clock may be off, either way"),
});

const basic = z.strictObject({
  realm: z
    .string()
    .regex(/^[\x20-\x7e]+$/, 'must be visible ASCII')
    .prefault('upgate')
    .describe('Text that a browser shows when it asks for name and password'),
  users: z
    .record(z.string(), z.string())
    .optional()
    .describe('Hashes of passwords by name: scrypt (PHC form) or bcrypt'),
  users_file: z
    .string()
    .min(1)
    .optional()
    .describe('Path of a file with one line `name:hash` per user, as htpasswd writes it, instead of `users`'),
});

const FIELD = 'must be the name of a header field';

const forward = z.strictObject({
  upstream: name().describe('Upstream of the servers that decide'),
  path: z
    .string()
    .regex(/^\/[!-~]*$/, 'must be a path that begins with "/", without spaces')
    .describe('Target of the GET request to them'),
  timeout: wait().prefault('5s').describe('Time until the answer is complete'),
  headers: z
    .array(token(FIELD))
    .prefault([])
    .describe(
      "Fields of the answer that the backend gets instead of the client's own; they are claims of the same names too",
    ),
  user: token(FIELD).optional().describe("Field of the answer with the user's name, for log, API and revocation"),
});

const certificate = z.strictObject({
  subjects: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('Admitted subjects, in the form of RFC 4514 (`CN=alice,O=Example`); unset: all'),
});

const recheck = z.strictObject({
  every: wait().describe('Interval of the checks, plus or minus a tenth'),
  grace: duration()
    .prefault('1m')
    .describe('How long a session goes on while the check is not possible; then it is closed with 4401'),
});

export const auth = z.strictObject({
  jwt: jwt.optional().describe('JSON Web Tokens'),
  basic: basic.optional().describe('Name and password'),
  forward: forward.optional().describe('Another server authenticates the client'),
  certificate: certificate
    .optional()
    .describe('A client certificate; `tls.client_auth` of the listener has the authorities'),
  recheck: recheck
    .optional()
    .describe('Check the credentials of live WebSockets again; the fields of their handshakes are kept for this'),
  preflight: z
    .enum(['check', 'pass'])
    .prefault('check')
    .describe("CORS preflights, which have no credentials: `pass` forwards them to the route's `http`"),
});

export type AuthConfig = z.output<typeof auth>;
export type JwtConfig = NonNullable<AuthConfig['jwt']>;
export type BasicConfig = NonNullable<AuthConfig['basic']>;
export type ForwardAuthConfig = NonNullable<AuthConfig['forward']>;
export type CertificateAuthConfig = NonNullable<AuthConfig['certificate']>;

/** The kinds of credentials; a route asks for one of them. */
export const AUTH_KINDS = ['jwt', 'basic', 'forward', 'certificate'] as const;
