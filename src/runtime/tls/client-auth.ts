// Which clients a TLS listener admits: the authorities of client certificates and their lists of revoked ones, and what
// all of the listener's contexts have in common because of them. Who a client is by its certificate is
// auth/certificate.ts.
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import type { ListenerConfig } from '../../config/schema/schema.ts';
import { fail, parseChain, readPem } from './pem.ts';

type ClientAuthConfig = NonNullable<NonNullable<ListenerConfig['tls']>['client_auth']>;
export type ClientAuthMode = ClientAuthConfig['mode'];

/** What OpenSSL takes of it. */
const LONGEST_SESSION_ID_CONTEXT = 32;

/** What all contexts of a listener have in common because of it. */
export interface ClientAuthority {
  /**
   * The same for every context, so that a session of one can be resumed whichever of them SNI picks; another one where
   * other clients are admitted, since a resumed session brings the client's certificate with it, unverified.
   */
  readonly sessionIdContext: string;
  readonly ca?: string;
  readonly crl?: string;
}

/** The authorities for clients, and what follows from them. */
export async function loadClientAuth(config: ClientAuthConfig | undefined, baseDir: string): Promise<ClientAuthority> {
  const read = async (key: 'ca' | 'crl'): Promise<string | null> => {
    const file = config?.[key];
    if (file === undefined) return null;
    const path = ['client_auth', key];
    const pem = await readPem(resolve(baseDir, file), path);
    if (key === 'ca') parseChain(pem, file, path);
    else if (!pem.includes('-----BEGIN X509 CRL-----')) throw fail(path, `${file} holds no PEM list (X509 CRL)`);
    return pem;
  };
  const [ca, crl] = [await read('ca'), await read('crl')];
  const id = createHash('sha256').update(JSON.stringify([ca, crl, config?.mode ?? null]));
  const sessionIdContext = id.digest('hex').slice(0, LONGEST_SESSION_ID_CONTEXT);
  return {
    sessionIdContext,
    ...(ca === null ? {} : { ca }),
    ...(crl === null ? {} : { crl }),
  };
}
