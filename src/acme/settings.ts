// The certificates that a config orders from authorities.
import { resolve } from 'node:path';
import { authorityFolder, certificateFile } from '../config/acme.ts';
import type { Config, ListenerConfig } from '../config/schema/schema.ts';
import type { CertificateSettings } from './managed-certificate.ts';
import type { ChallengeType } from './order.ts';

/** The settings of each listener with `acme`; relative paths count from `baseDir`. */
export function wantedCertificates({ listeners }: Config, baseDir: string): CertificateSettings[] {
  const plain = listeners.some(({ tls, unix }) => tls === undefined && unix === undefined);
  return listeners.flatMap((listener) => {
    const acme = listener.tls?.acme;
    if (acme === undefined) return [];
    return [
      {
        domains: acme.domains,
        email: acme.email ?? null,
        directory: acme.directory,
        eab: acme.eab ?? null,
        ca: acme.ca === undefined ? null : resolve(baseDir, acme.ca),
        challenges: challengesFor(listener, plain),
        folder: resolve(baseDir, authorityFolder(acme)),
        file: resolve(baseDir, certificateFile(acme)),
      },
    ];
  });
}

/** The types of challenge that can be answered: HTTP-01 with a listener without TLS, TLS-ALPN-01 if this one is on TCP. */
function challengesFor({ unix }: ListenerConfig, plain: boolean): ChallengeType[] {
  return [...(plain ? (['http-01'] as const) : []), ...(unix === undefined ? (['tls-alpn-01'] as const) : [])];
}
