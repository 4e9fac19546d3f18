// What needs two fields to judge of a route's `auth`: which kind it is, and where its keys come from. A part of check.ts.
import { error, type Found, warning } from './findings.ts';
import type { ConfigPath } from './problem.ts';
import type { Written } from './prune.ts';
import type { AuthConfig, JwtConfig } from './schema-auth.ts';

/** Where keys come from; exactly one of them. */
const SOURCES = ['jwks', 'key', 'key_file'] as const;
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

export function* checkAuth(auth: AuthConfig, path: ConfigPath, written: Written): Found {
  if (written.lostWithin(path)) return;
  if (auth.jwt === undefined) yield error(path, 'needs a kind of credentials', { hint: 'jwt' });
  else yield* checkJwt(auth.jwt, [...path, 'jwt']);
}

function* checkJwt(jwt: JwtConfig, path: ConfigPath): Found {
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
