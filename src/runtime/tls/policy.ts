// Which TLS is spoken with clients: Mozilla's "intermediate" (https://wiki.mozilla.org/Security/Server_Side_TLS), written
// down once for every engine. No CBC, no static RSA, no finite-field DHE: each suite is AEAD with an ephemeral key on an
// elliptic curve, which HTTP/2 demands as well (RFC 9113 §9.2.2).
import { constants } from 'node:crypto';
import { createSecureContext, type SecureContextOptions } from 'node:tls';

/** As in the config. */
export type MinVersion = '1.2' | '1.3';

/** Suites of TLS 1.3 (RFC 8446 §B.4), by OpenSSL's names, which are the standard's. */
export const TLS13_SUITES = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
] as const;

/** Suites of TLS 1.2, by OpenSSL's names. */
export const TLS12_SUITES = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
] as const;

/** What OpenSSL has from 3.5 on, which is node 22.20 and 24.5. */
const POST_QUANTUM_GROUP = 'X25519MLKEM768';
/** Groups for the exchange of keys, preferred ones first. */
const GROUPS = ['X25519', 'P-256', 'P-384'] as const;

/** The groups that this node's OpenSSL knows. */
export function groups(): readonly string[] {
  return knows(POST_QUANTUM_GROUP) ? [POST_QUANTUM_GROUP, ...GROUPS] : GROUPS;
}

/** What of it is an option of a context. */
export function tlsPolicy(minVersion: MinVersion) {
  return {
    minVersion: `TLSv${minVersion}`,
    ciphers: [...TLS13_SUITES, ...TLS12_SUITES].join(':'),
    ecdhCurve: groups().join(':'),
    // Every suite is good, and a client without AES in its processor knows that ChaCha20 is faster for it.
    honorCipherOrder: false,
    // Nobody needs it, and it costs a handshake each time (RFC 9113 §9.2.1, RFC 9325 §3.5).
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  } as const satisfies SecureContextOptions;
}

function knows(group: string): boolean {
  try {
    createSecureContext({ ecdhCurve: group });
    return true;
  } catch {
    return false;
  }
}
