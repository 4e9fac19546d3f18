// A self-signed server certificate, made at start so that https works before anyone has a certificate. node:crypto
// makes the key and the signature; der.ts writes the rest. Not a CA, and no client trusts it unless configured to.
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';
import { isCertificateName } from '../../config/address.ts';
import {
  bitString,
  boolean,
  explicit,
  implicit,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  set,
  time,
  utf8String,
} from './der.ts';

const OID = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  organization: '2.5.4.10',
  commonName: '2.5.4.3',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
} as const;

const ECDSA_WITH_SHA256 = sequence(objectIdentifier(OID.ecdsaWithSha256));
const DAY_MS = 86_400_000;
/** Under the 825 days, and soon 47, that browsers' platforms take from a server certificate at all. */
const VALID_DAYS = 90;
/** ub-common-name (RFC 5280, appendix A.1). */
const LONGEST_COMMON_NAME = 64;

/** A certificate and its key, both PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/**
 * Makes a certificate (EC P-256, ECDSA with SHA-256) for DNS names, `*.suffix` among them, and IP addresses; `localhost`
 * stands for 127.0.0.1 and ::1 too. Valid from a day before `now`, for clocks that differ, and 90 days in all. `further`
 * extensions follow its own. Throws a RangeError that names the entry which is neither a DNS name nor an address.
 */
export function makeSelfSigned(names: readonly string[], now: Date, ...further: readonly Buffer[]): KeyPair {
  const subjects = subjectsOf(names);
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const start = now.getTime() - DAY_MS;
  const name = distinguishedName(subjects[0] ?? '');
  const toBeSigned = sequence(
    explicit(0, integer(Buffer.of(2))), // v3
    integer(serialNumber()),
    ECDSA_WITH_SHA256,
    name, // issuer: itself
    sequence(time(new Date(start)), time(new Date(start + VALID_DAYS * DAY_MS))),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    explicit(3, extensions(subjects, further)),
  );
  const cert = pem('CERTIFICATE', signed(toBeSigned, privateKey));
  return { cert, key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
}

/** What is signed with its signature by an EC key, as certificates and requests for them have it (RFC 5280 §4.1.1). */
export function signed(content: Buffer, privateKey: KeyObject): Buffer {
  return sequence(content, ECDSA_WITH_SHA256, bitString(sign('sha256', content, privateKey)));
}

/** DNS names and addresses, each once, in the order given. */
function subjectsOf(names: readonly string[]): string[] {
  const subjects = new Set<string>();
  for (const name of names) {
    subjects.add(subjectOf(name));
    if (name.toLowerCase() === 'localhost') subjects.add('127.0.0.1').add('::1');
  }
  if (subjects.size === 0) throw new RangeError('a self-signed certificate needs at least one name');
  return [...subjects];
}

function subjectOf(name: string): string {
  // A zone (fe80::1%eth0) is local to this machine, and a final dot (RFC 6066 §3) is never asked for.
  if (isCertificateName(name) && !/%|\.$/.test(name)) return name.toLowerCase();
  throw new RangeError(`${JSON.stringify(name)} is neither a DNS name nor an IP address`);
}

/** 16 random octets, positive and never zero (RFC 5280 §4.1.2.2 allows 20). */
function serialNumber(): Buffer {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  return serial;
}

function distinguishedName(subject: string): Buffer {
  const attribute = (type: string, value: string): Buffer => set(sequence(objectIdentifier(type), utf8String(value)));
  const organization = attribute(OID.organization, 'Upgate self-signed');
  if (subject.length > LONGEST_COMMON_NAME) return sequence(organization);
  return sequence(organization, attribute(OID.commonName, subject));
}

function extensions(subjects: readonly string[], further: readonly Buffer[]): Buffer {
  return sequence(
    // cA defaults to FALSE, and DER leaves a default out (X.690 §11.5).
    extension(OID.basicConstraints, boolean(true), octetString(sequence())),
    // No keyUsage: without keyCertSign in it OpenSSL before 3 will not take the certificate for its own issuer.
    extension(OID.extendedKeyUsage, octetString(sequence(objectIdentifier(OID.serverAuth)))),
    subjectAltName(subjects),
    ...further,
  );
}

/** One extension: its value as an octet string, with the mark of a critical one before it where it is one. */
export function extension(type: string, ...rest: readonly Buffer[]): Buffer {
  return sequence(objectIdentifier(type), ...rest);
}

/** The extension that says for whom a certificate is (RFC 5280 §4.2.1.6). */
export function subjectAltName(subjects: readonly string[]): Buffer {
  return extension(OID.subjectAltName, octetString(sequence(...subjects.map(generalName))));
}

/** dNSName [2] or iPAddress [7] (RFC 5280 §4.2.1.6). */
function generalName(subject: string): Buffer {
  if (isIP(subject) === 0) return implicit(2, Buffer.from(subject, 'latin1'));
  return implicit(7, isIP(subject) === 4 ? Buffer.from(subject.split('.').map(Number)) : ipv6Octets(subject));
}

/** The 16 octets of an IPv6 address; the URL parser first brings every spelling to one. */
function ipv6Octets(address: string): Buffer {
  const canonical = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [head = '', tail] = canonical.split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const zeros = Array<string>(8 - before.length - after.length).fill('0');
  return Buffer.from([...before, ...zeros, ...after].map((group) => group.padStart(4, '0')).join(''), 'hex');
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
