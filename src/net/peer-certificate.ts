// The certificate that a client has shown, and that its listener's authorities have signed. Whether a route admits it is
// auth/certificate.ts.
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { ClientCertificate } from '../http/forwarding/forwarded.ts';
import type { Connection } from './fd-connection.ts';

/** Null where none was asked for, none was shown, or it is not valid. */
export function readCertificate(connection: Connection): ClientCertificate | null {
  const tls = connection as Partial<TLSSocket>;
  // Set where a certificate was asked for and everything about it holds (RFC 5280 §6).
  if (tls.authorized !== true) return null;
  const certificate = tls.getPeerX509Certificate?.();
  return certificate === undefined ? null : describe(certificate);
}

function describe({ subject, fingerprint256, validTo }: X509Certificate): ClientCertificate {
  return {
    // node writes a line for each part, in the order of the certificate; RFC 4514 §2.1 begins with the last.
    subject: subject.split('\n').reverse().join(','),
    fingerprint: fingerprint256.replaceAll(':', '').toLowerCase(),
    notAfterMs: Date.parse(validTo),
  };
}
