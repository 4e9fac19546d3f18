// The certificate that answers a TLS-ALPN-01 challenge (RFC 8737 §3): self-signed, for the one name, with a digest of the key
// authorization in an extension of its own.
import { createHash } from 'node:crypto';
import { boolean, octetString } from '../runtime/tls/der.ts';
import { extension, type KeyPair, makeSelfSigned } from '../runtime/tls/self-signed.ts';

/** id-pe-acmeIdentifier. */
const ACME_IDENTIFIER = '1.3.6.1.5.5.7.1.31';

/** The certificate that answers a tls-alpn-01 challenge for this domain (RFC 8737 §3), valid from `now` on; PEM. */
export function makeChallengeCertificate(domain: string, keyAuthorization: string, now: Date): KeyPair {
  const digest = createHash('sha256').update(keyAuthorization).digest();
  // Critical (RFC 8737 §3): an ordinary client refuses the certificate.
  return makeSelfSigned([domain], now, extension(ACME_IDENTIFIER, boolean(true), octetString(octetString(digest))));
}
