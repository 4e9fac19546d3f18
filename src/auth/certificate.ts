// `auth.certificate`: a client has to show a certificate that the listener's authorities have signed (RFC 8446 §4.4.2).
// Its signature was verified in the TLS handshake; here it is only required, and its subject read.
import type { CertificateAuthConfig } from '../config/schema/schema-auth.ts';
import { reject } from '../handshake/rejection.ts';
import type { Authenticator } from './authenticator.ts';

/** Judges the client certificate of the TLS connection; without `subjects` any valid one is good. */
export function createCertificate({ subjects }: CertificateAuthConfig): Authenticator {
  const allowed = subjects === undefined ? null : new Set(subjects);
  return {
    authenticate({ client: { certificate } }) {
      // There is no challenge for TLS: 403, and not 401, which would have to carry one (RFC 9110 §15.5.2).
      if (certificate === undefined) return reject('certificate', 'a client certificate is required');
      const { subject, fingerprint, notAfterMs } = certificate;
      // TLS was set up while it was valid; the connection may have been kept for longer.
      if (notAfterMs <= Date.now()) return reject('certificate', 'the client certificate has expired');
      if (allowed !== null && !allowed.has(subject))
        return reject('certificate', 'this certificate may not connect here');
      return { subject, claims: { sub: subject, fingerprint }, expiresAt: notAfterMs, fields: [] };
    },
  } satisfies Authenticator;
}
