// How TLS is spoken on a listener.
import * as z from 'zod';
import { isCertificateName } from '../address.ts';
import { acme } from './schema-acme.ts';
import { oneOrMore } from './schema-values.ts';

const certificate = z.strictObject({
  cert: z.string().min(1).describe('Path of the certificate chain, PEM, leaf first'),
  key: z.string().min(1).describe('Path of the private key, PEM'),
});

const A_VERSION = 'must be "1.2" or "1.3"; older ones are not spoken (RFC 8996)';

export const tls = z.strictObject({
  certificates: z
    .array(certificate)
    .min(1)
    .optional()
    .describe('Certificates; SNI picks among them, the first is the default'),
  self_signed: z
    .array(z.string().refine(isCertificateName, 'must be a host name, `*.` and a host name, or an IP address'))
    .min(1)
    .optional()
    .describe('Names for a certificate made at start, in place of `certificates`; for trying out'),
  acme: acme
    .optional()
    .describe(
      'Order a certificate from an authority by ACME, and renew it; one of our own is served until it is there',
    ),
  strict_sni: z
    .boolean()
    .prefault(false)
    .describe(
      'Refuse clients that name no server, or one that no certificate is for, in place of the first certificate',
    ),
  min_version: z
    .union([z.enum(['1.2', '1.3'], A_VERSION), z.literal([1.2, 1.3], A_VERSION)], A_VERSION)
    .transform((version) => String(version) as '1.2' | '1.3')
    .prefault('1.2')
    .describe('The oldest version of TLS that is spoken; ciphers are those of Mozilla\'s "intermediate"'),
  ticket_key_file: oneOrMore()
    .optional()
    .describe(
      'Path of the keys of session tickets, or a list of paths: the first key encrypts, all decrypt; unset: random ones, so that no session is resumed behind a restart or by another gateway',
    ),
  client_auth: z
    .strictObject({
      ca: z.string().min(1).describe('Path of the authorities whose client certificates are taken, PEM'),
      crl: z.string().min(1).optional().describe('Path of their lists of revoked certificates, PEM'),
      mode: z
        .enum(['required', 'optional'])
        .prefault('required')
        .describe('A client without a valid certificate: no TLS at all, or one that routes can refuse'),
    })
    .optional()
    .describe('Ask clients for certificates; unset: none are asked for'),
});
