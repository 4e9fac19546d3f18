// An issuer of tokens for tests: signs what it is told to, and serves its key set over HTTP, or fails to in several ways.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, type GenerateKeyPairResult, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';

/** How the key set is answered. */
export type Manner = 'well' | 'error' | 'never' | 'redirect' | 'huge' | 'nonsense';

export interface Issuer {
  /** URL of its key set. */
  readonly jwks: string;
  /** Its public keys now. */
  keys(): readonly JWK[];
  /** How often the set was asked for. */
  asked(): number;
  /** How it is answered from now on. */
  answer(manner: Manner): void;
  /** A new key in place of the old ones. */
  rotate(): Promise<void>;
  /** A token by the newest key, for an hour unless the claims say otherwise. */
  sign(claims?: JWTPayload, header?: { kid?: string }, end?: 'never'): Promise<string>;
  close(): void;
}

/** Seconds since 1970. */
export const now = (): number => Math.floor(Date.now() / 1000);

export async function startIssuer(): Promise<Issuer> {
  let serial = 0;
  let pair: GenerateKeyPairResult;
  let keys: JWK[] = [];
  let asked = 0;
  let manner: Manner = 'well';
  const rotate = async () => {
    pair = await generateKeyPair('ES256', { extractable: true });
    keys = [{ ...(await exportJWK(pair.publicKey)), kid: `key-${++serial}`, alg: 'ES256', use: 'sig' }];
  };
  await rotate();
  const server = createServer((req, res) => {
    if (req.url === '/elsewhere') return res.end(JSON.stringify({ keys }));
    asked++;
    if (manner === 'error') return res.writeHead(500).end();
    if (manner === 'redirect') return res.writeHead(302, { Location: '/elsewhere' }).end();
    if (manner === 'huge') return res.end(JSON.stringify({ keys, padding: 'x'.repeat(300_000) }));
    if (manner === 'nonsense') return res.end('<html>');
    if (manner === 'well') return res.end(JSON.stringify({ keys }));
    return res;
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    jwks: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks?secret=s3cret`,
    keys: () => keys,
    asked: () => asked,
    answer: (next) => {
      manner = next;
    },
    rotate,
    sign: (claims = {}, header = {}, end) =>
      new SignJWT({ sub: 'ada', ...(end === 'never' ? {} : { exp: now() + 3600 }), ...claims })
        .setProtectedHeader({ alg: 'ES256', kid: `key-${serial}`, ...header })
        .sign(pair.privateKey),
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
