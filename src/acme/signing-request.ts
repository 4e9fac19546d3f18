// A certificate signing request (PKCS #10, RFC 2986) with the names in its subjectAltName and an empty subject: the order has all
// else (RFC 8555 §7.4).
import { createPublicKey, type KeyObject } from 'node:crypto';
import { explicit, integer, objectIdentifier, sequence, set } from '../runtime/tls/der.ts';
import { signed, subjectAltName } from '../runtime/tls/self-signed.ts';

/** pkcs-9-at-extensionRequest (RFC 2985 §5.4.2). */
const EXTENSION_REQUEST = '1.2.840.113549.1.9.14';

/** DER for these DNS names, signed by an EC key of P-256. */
export function makeSigningRequest(names: readonly string[], privateKey: KeyObject): Buffer {
  const extensions = sequence(objectIdentifier(EXTENSION_REQUEST), set(sequence(subjectAltName(names))));
  const content = sequence(
    integer(Buffer.of(0)), // v1
    sequence(), // subject
    createPublicKey(privateKey).export({ type: 'spki', format: 'der' }),
    // [0] IMPLICIT SET OF is written as an explicit element is, with the set's members in it.
    explicit(0, extensions),
  );
  return signed(content, privateKey);
}
