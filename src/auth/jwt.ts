// `auth.jwt`: a token is valid where its signature is and its claims are those that the route requires (RFC 7519, RFC
// 8725). http/token.ts finds it in the request.
import { errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from 'jose';
import type { JwtConfig } from '../config/schema/schema-auth.ts';
import { type Rejection, reject } from '../handshake/rejection.ts';
import { claimHas, nestsDeeper, textOf } from '../http/claims.ts';
import type { Authenticator, AuthRequest, AuthResult, Principal } from './authenticator.ts';
import type { FindKey } from './key-set.ts';
import { KeysUnavailable } from './remote-keys.ts';

/** What a Date can hold (ECMA-262 §21.4.1.1). A token that ends later never does: RFC 7519 §2 bounds no NumericDate. */
const LAST_TIME_MS = 8.64e15;
/** Claims are written as JSON again, for limits and webhooks, and JSON.stringify recurses. */
const MAX_DEPTH = 64;

/** Verifies a JSON Web Token (RFC 7519, RFC 8725) with the key that `findKey` gives, and its claims by the config. */
export function createJwt(config: JwtConfig, findKey: FindKey): Authenticator {
  const options: JWTVerifyOptions = {
    algorithms: [...config.algorithms],
    clockTolerance: config.clock_skew / 1000,
    ...(config.issuer === undefined ? {} : { issuer: config.issuer }),
    ...(config.audience === undefined ? {} : { audience: config.audience }),
    ...(config.max_age === undefined ? {} : { maxTokenAge: config.max_age / 1000 }),
    requiredClaims: config.require_exp ? ['exp'] : [],
  };
  return {
    async authenticate({ token }: AuthRequest): Promise<AuthResult> {
      // RFC 6750 §3.1: a request without credentials gets no error code, only the scheme.
      if (token === null) return reject('auth', 'a token is needed here', ['WWW-Authenticate', 'Bearer']);
      if (typeof token !== 'string') return refuse('invalid_request', token.fault);
      try {
        return principalOf(await verify(token, findKey, options), config);
      } catch (error) {
        if (error instanceof KeysUnavailable) return reject('auth_unavailable');
        if (error instanceof errors.JOSEError) return refuse('invalid_token', detailOf(error));
        throw error;
      }
    },
  } satisfies Authenticator;
}

/** A set may have several keys for a token that names none: it is valid where one of them verifies it. */
async function verify(token: string, findKey: FindKey, options: JWTVerifyOptions): Promise<JWTPayload> {
  try {
    return (await jwtVerify(token, findKey, options)).payload;
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
    for await (const key of error) {
      try {
        return (await jwtVerify(token, key, options)).payload;
      } catch (other) {
        if (!(other instanceof errors.JWSSignatureVerificationFailed)) throw other;
      }
    }
    throw new errors.JWSSignatureVerificationFailed();
  }
}

function principalOf(claims: JWTPayload, config: JwtConfig): Principal | Rejection {
  if (nestsDeeper(claims, MAX_DEPTH))
    return refuse('invalid_token', `claims are nested deeper than ${MAX_DEPTH} levels`);
  for (const [name, wanted] of Object.entries(config.required_claims ?? {})) {
    if (!claimHas(claims, name, wanted)) return refuse('invalid_token', `claim ${name} is not what is asked for`);
  }
  return { subject: textOf(claims.sub), claims, expiresAt: endOf(claims, config), fields: [] };
}

/** When the token ends: at its `exp` or its greatest age, whichever is first. */
function endOf({ exp, iat }: JWTPayload, { max_age, clock_skew }: JwtConfig): number | null {
  const ends = [
    exp === undefined ? [] : exp * 1000,
    max_age === undefined || iat === undefined ? [] : iat * 1000 + max_age,
  ];
  const end = Math.min(...ends.flat()) + clock_skew;
  return end <= LAST_TIME_MS ? end : null;
}

/** RFC 6750 §3: the details are our own words, so that nothing of them needs escaping. */
function refuse(error: 'invalid_request' | 'invalid_token', detail: string): Rejection {
  const challenge = `Bearer error="${error}", error_description="${detail.replaceAll(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, '?')}"`;
  return reject('auth', detail, ['WWW-Authenticate', challenge]);
}

/** By the `code` of jose's errors; nothing of the token is in it but the name of a claim that every token has. */
function detailOf(error: errors.JOSEError): string {
  if (error instanceof errors.JWTExpired) return 'the token has expired';
  if (error instanceof errors.JWTClaimValidationFailed) {
    const { claim, reason } = error;
    if (reason === 'missing') return `claim ${claim} is missing`;
    return claim === 'nbf' ? 'the token is not valid yet' : `claim ${claim} is not what is asked for`;
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return 'the algorithm of the token is not taken here';
  if (error instanceof errors.JWKSNoMatchingKey) return 'the key of the token is not known';
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'the signature of the token does not hold';
  return 'the token is malformed';
}
