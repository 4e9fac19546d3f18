// What needs two fields to judge of a route's `auth`: which kind it is, and where its keys come from. A part of check.ts.

import type { ConfigPath } from '../problem.ts';
import type { Written } from '../problems/prune.ts';
import { AUTH_KINDS, type AuthConfig, type BasicConfig, type JwtConfig } from '../schema/schema-auth.ts';
import { error, type Problems, warning } from './findings.ts';

/** Where keys come from; exactly one of them. */
const SOURCES = ['jwks', 'key', 'key_file'] as const;
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/** Problems of the `auth` that stands at this path. */
export function* checkAuth(auth: AuthConfig, path: ConfigPath, written: Written): Problems {
  if (written.lostWithin(path)) return;
  const [kind, other] = AUTH_KINDS.filter((key) => auth[key] !== undefined);
  if (kind === undefined) yield error(path, 'needs a kind of credentials', { hint: `one of ${AUTH_KINDS.join(', ')}` });
  if (other !== undefined)
    yield error([...path, other], `"${other}" beside "${kind}"`, { hint: 'take one of them out', at: 'key' });
  if (auth.jwt !== undefined) yield* checkJwt(auth.jwt, [...path, 'jwt']);
  if (auth.basic !== undefined) yield* checkBasic(auth.basic, [...path, 'basic']);
}

function* checkBasic({ users, users_file }: BasicConfig, path: ConfigPath): Problems {
  if (users === undefined && users_file === undefined) yield error(path, 'needs "users" or "users_file"');
  if (users !== undefined && users_file !== undefined)
    yield error([...path, 'users_file'], '"users_file" beside "users"', { hint: 'take one of them out', at: 'key' });
}

function* checkJwt(jwt: JwtConfig, path: ConfigPath): Problems {
  const [source, other] = SOURCES.filter((key) => jwt[key] !== undefined);
  if (source === undefined) yield error(path, 'needs "jwks", "key" or "key_file"');
  if (other !== undefined)
    yield error([...path, other], `"${other}" beside "${source}"`, { hint: 'take one of them out', at: 'key' });
  if (jwt.jwks === undefined) return;
  const secret = jwt.algorithms.findIndex((algorithm) => algorithm.startsWith('HS'));
  if (secret !== -1)
    yield error([...path, 'algorithms', secret], 'HS algorithms need a secret, and a key set holds none', {
      hint: 'take it out, or give the secret in key_file',
    });
  const url = new URL(jwt.jwks);
  if (url.protocol === 'http:' && !LOOPBACK.test(url.hostname))
    yield warning([...path, 'jwks'], 'whoever is on the way can put keys of their own in its place', {
      hint: 'use https',
    });
  if (jwt.audience === undefined)
    yield warning(path, 'tokens that the issuer made for other services are taken too', {
      hint: 'name yours in audience (RFC 8725 §3.9)',
    });
}
