// The identifier of a certificate toward its authority (RFC 9773 §4.1): the key identifier of its issuer and its serial number.
// Both are read from its DER, because node gives only the serial number. Pure; never throws.
import type { X509Certificate } from 'node:crypto';

/** An element of DER (X.690 §8.1) with a definite length and a tag of one octet. */
interface Element {
  readonly tag: number;
  readonly content: Buffer;
}

const INTEGER = 0x02;
const OCTET_STRING = 0x04;
const EXTENSIONS = 0xa3;
const KEY_IDENTIFIER = 0x80;
/** id-ce-authorityKeyIdentifier, 2.5.29.35, in its DER content. */
const AUTHORITY_KEY_IDENTIFIER = Buffer.of(0x55, 0x1d, 0x23);
/** Most octets of a length; three octets reach 16 MiB. */
const LONGEST_LENGTH = 3;

/** Null: the certificate does not identify its issuer's key. */
export function certificateId({ raw }: Pick<X509Certificate, 'raw'>): string | null {
  try {
    const toBeSigned = [...elements(first(first(raw).content).content)];
    const serial = toBeSigned.find(({ tag }) => tag === INTEGER);
    const extensions = toBeSigned.find(({ tag }) => tag === EXTENSIONS);
    const issuer = extensions === undefined ? null : keyIdentifierIn(first(extensions.content).content);
    if (serial === undefined || issuer === null) return null;
    return `${issuer.toString('base64url')}.${serial.content.toString('base64url')}`;
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** The key identifier in the extension authorityKeyIdentifier (RFC 5280 §4.2.1.1). */
function keyIdentifierIn(extensions: Buffer): Buffer | null {
  for (const extension of elements(extensions)) {
    const parts = [...elements(extension.content)];
    if (!parts[0]?.content.equals(AUTHORITY_KEY_IDENTIFIER)) continue;
    const value = parts.find(({ tag }) => tag === OCTET_STRING);
    if (value === undefined) return null;
    const members = [...elements(first(value.content).content)];
    return members.find(({ tag }) => tag === KEY_IDENTIFIER)?.content ?? null;
  }
  return null;
}

function first(bytes: Buffer): Element {
  for (const element of elements(bytes)) return element;
  throw new RangeError('an element is missing');
}

function* elements(bytes: Buffer): Generator<Element> {
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes.readUInt8(at);
    let length = bytes.readUInt8(at + 1);
    at += 2;
    if (length > 0x80) {
      const octets = length - 0x80;
      if (octets > LONGEST_LENGTH) throw new RangeError('an element of such a length is not read');
      length = bytes.readUIntBE(at, octets);
      at += octets;
    }
    if (bytes.length - at < length) throw new RangeError('an element ends before its length');
    yield { tag, content: bytes.subarray(at, at + length) };
    at += length;
  }
}
