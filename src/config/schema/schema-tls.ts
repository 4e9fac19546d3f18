// How TLS is spoken on a listener.
import * as z from 'zod';
import { isCertificateName } from '../address.ts';
import { acme } from './schema-acme.ts';
import { oneOrMore, port } from './schema-values.ts';

const certificate = z.strictObject({
  cert: z.string().min(1).describe('Path of the certificate chain, PEM, leaf first'),
  key: z.string().min(1).describe('Path of the private key, PEM'),
  ocsp_file: z
    .string()
    .min(1)
    .optional()
    .describe('Path of an OCSP response for it, DER, for clients that request one (stapling); unset: none'),
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
    .describe('Names for a certificate made at the start, instead of `certificates`; for experiments'),
  acme: acme
    .optional()
    .describe(
      'Order a certificate from an authority by ACME, and renew it; until it arrives, a self-signed one is used',
    ),
  strict_sni: z
    .boolean()
    .prefault(false)
    .describe(
      'Refuse clients without a server name, or with one that no certificate has, instead of using the first certificate',
    ),
  min_version: z
    .union([z.enum(['1.2', '1.3'], A_VERSION), z.literal([1.2, 1.3], A_VERSION)], A_VERSION)
    .transform((version) => String(version) as '1.2' | '1.3')
    .prefault('1.2')
    .describe('The oldest supported version of TLS; ciphers are those of Mozilla\'s "intermediate"'),
  ticket_key_file: oneOrMore()
    .optional()
    .describe(
      'Path of the keys of session tickets, or a list of paths: the first key encrypts, all decrypt; unset: random keys, so that no session is resumed after a restart or by another gateway',
    ),
  engine: z
    .enum(['auto', 'native', 'node'])
    .prefault('auto')
    .describe(
      "Engine for TLS with clients: the relay's threads (`native`, Linux) or node; `auto`: the threads if they can. What they don't support, such as HTTP/2 and client certificates, node does in any case",
    ),
  client_auth: z
    .strictObject({
      ca: z.string().min(1).describe('Path of the authorities of accepted client certificates, PEM'),
      crl: z.string().min(1).optional().describe('Path of their lists of revoked certificates, PEM'),
      mode: z
        .enum(['required', 'optional'])
        .prefault('required')
        .describe('Without a valid certificate: `required` fails the TLS handshake, `optional` lets routes decide'),
    })
    .optional()
    .describe('Request certificates of clients; unset: not requested'),
});

const HTTPS = 443;

/** Becomes the port. */
export const redirectToHttps = z
  .union([z.boolean(), port().min(1)])
  .transform((value) => (typeof value === 'number' ? value : value ? HTTPS : undefined));

const AN_AGE = 'must be a duration, such as 180d, 24h or 30s';
const AGE_UNITS = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** Seconds. It may be longer than a timer can wait, and is mostly said in days. */
const age = () =>
  z
    .string(AN_AGE)
    .regex(/^\d{1,9}[smhd]$/, AN_AGE)
    .transform((text) => Number(text.slice(0, -1)) * AGE_UNITS[text.slice(-1) as keyof typeof AGE_UNITS]);

/** Becomes the value of the field. */
export const hsts = z
  .union([
    age().transform((seconds) => ({ max_age: seconds, include_subdomains: false, preload: false })),
    z.strictObject({
      max_age: age().describe('How long; `0s` revokes it'),
      include_subdomains: z.boolean().prefault(false).describe('Also for every name below this one'),
      preload: z.boolean().prefault(false).describe('Agree to be included in the lists that browsers ship'),
    }),
  ])
  .transform(
    ({ max_age, include_subdomains, preload }) =>
      `max-age=${max_age}${include_subdomains ? '; includeSubDomains' : ''}${preload ? '; preload' : ''}`,
  );
