// How a listener's certificates are ordered from an authority (ACME, RFC 8555): `tls.acme`. A part of schema.ts.
import * as z from 'zod';
import { isHostName } from '../address.ts';

const LETS_ENCRYPT = 'https://acme-v02.api.letsencrypt.org/directory';

/** As many names as Let's Encrypt takes in one certificate. */
const MOST_DOMAINS = 100;

const isHttps = (text: string): boolean => URL.canParse(text) && new URL(text).protocol === 'https:';

export const acme = z.strictObject({
  domains: z
    .array(
      z
        .string()
        .refine((name) => !name.startsWith('*'), 'a wildcard needs dns-01, which is left to another client of ACME')
        .refine((name) => name.startsWith('*') || isDomain(name), 'must be a DNS name, such as app.example.com')
        .transform((name) => name.toLowerCase()),
    )
    .min(1)
    .max(MOST_DOMAINS)
    .describe('The names of the certificate; the authority must reach this gateway under each of them'),
  email: z
    .string()
    .regex(/^[^\s@,?]+@[^\s@,?]+$/, 'must be an email address')
    .optional()
    .describe('Address for messages of the authority; unset: none'),
  directory: z
    .string()
    .refine(isHttps, 'must be an https URL')
    .prefault(LETS_ENCRYPT)
    .describe("The authority, by the URL of its directory; unset: Let's Encrypt's"),
  storage: z.string().min(1).describe('Directory for the account and the certificates; several gateways may share one'),
  terms_agreed: z.boolean().prefault(false).describe("`true`: you agree to the authority's terms of service"),
  eab: z
    .strictObject({
      kid: z.string().min(1).describe('Name of the key'),
      key: z
        .string()
        .regex(/^[A-Za-z0-9_-]+={0,2}$/, 'must be in base64url')
        .describe('The MAC key in base64url, mostly from the environment'),
    })
    .optional()
    .describe('An account that the authority already has (external account binding)'),
  ca: z
    .string()
    .min(1)
    .optional()
    .describe("Path of the authorities that verify the directory's server, PEM; unset: those that node includes"),
});

function isDomain(name: string): boolean {
  return isHostName(name) && name.includes('.') && !name.endsWith('.');
}

export type AcmeConfig = z.output<typeof acme>;
