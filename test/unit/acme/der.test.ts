// What is written in DER for an authority, read back by openssl; and what is read of a certificate's.
import { execFileSync } from 'node:child_process';
import { createHash, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { certificateId } from '../../../src/acme/certificate-id.ts';
import { makeChallengeCertificate } from '../../../src/acme/challenge-certificate.ts';
import { makeSigningRequest } from '../../../src/acme/signing-request.ts';
import { makeSelfSigned } from '../../../src/runtime/tls/self-signed.ts';
import { makeAuthority } from '../../support/authority.ts';

const openssl = (input: string | Buffer, ...args: string[]): string =>
  execFileSync('openssl', args, { input, stdio: ['pipe', 'pipe', 'pipe'] }).toString();

it('a request for a certificate holds the names and the key, signed by it', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const names = Array.from({ length: 100 }, (_, i) => `n${i}.example.com`);
  const der = makeSigningRequest(names, privateKey);
  const text = openssl(der, 'req', '-inform', 'DER', '-noout', '-text', '-verify', '-pubkey');
  expect(text).toContain('Version: 1 (0x0)');
  expect(text).toMatch(/Subject:\s*\n/);
  expect(text).toContain(names.map((name) => `DNS:${name}`).join(', '));
  expect(text).toContain(publicKey.export({ type: 'spki', format: 'pem' }).toString().trim());
});

it("a challenge's certificate holds the name and the digest, critical", () => {
  const { cert } = makeChallengeCertificate('a.example', 'token.thumbprint', new Date());
  const parsed = new X509Certificate(cert);
  expect(parsed.subjectAltName).toBe('DNS:a.example');
  const text = openssl(cert, 'x509', '-noout', '-text', '-certopt', 'ext_dump');
  expect(text).toMatch(/1\.3\.6\.1\.5\.5\.7\.1\.31: critical/);
  const digest = createHash('sha256').update('token.thumbprint').digest();
  const extension = Buffer.concat([Buffer.of(0x04, 0x22, 0x04, 0x20), digest]);
  expect(parsed.raw.includes(extension)).toBe(true);
});

describe("a certificate's identifier", () => {
  const authority = makeAuthority();
  afterAll(() => authority.remove());
  const { cert, files } = authority.issue('leaf', 'a.example');

  it("is its issuer's key and its serial number, as openssl shows them", () => {
    const text = execFileSync('openssl', ['x509', '-in', files.cert, '-noout', '-text', '-serial']).toString();
    const [, keyId = ''] = /Authority Key Identifier:\s*\n\s*(?:keyid:)?([0-9A-F:]+)/i.exec(text) ?? [];
    const { serialNumber } = new X509Certificate(cert);
    const [first = '', second = ''] = (certificateId(new X509Certificate(cert)) ?? '').split('.');
    expect(Buffer.from(first, 'base64url').toString('hex')).toBe(keyId.replaceAll(':', '').toLowerCase());
    const serial = Buffer.from(second, 'base64url').toString('hex').toUpperCase();
    // A leading zero octet is a part of it (RFC 9773 §4.1).
    expect(serial.replace(/^00/, '')).toBe(serialNumber);
  });

  it('is not there where nothing is said of the issuer', () => {
    const { cert: own } = makeSelfSigned(['a.example'], new Date());
    expect(certificateId(new X509Certificate(own))).toBeNull();
  });

  it('is the one of RFC 9773, appendix A', () => {
    const pem = readFileSync(new URL('../../fixtures/rfc9773.pem', import.meta.url));
    expect(certificateId(new X509Certificate(pem))).toBe('aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE');
  });

  it('is read of any octets without an error', () => {
    const { raw } = new X509Certificate(cert);
    fc.assert(
      fc.property(fc.nat(raw.length), fc.uint8Array({ maxLength: 20 }), (at, bytes) => {
        const broken = Buffer.concat([raw.subarray(0, at), bytes, raw.subarray(at + bytes.length)]);
        expect(certificateId({ raw: broken })).toSatisfy((id) => id === null || typeof id === 'string');
      }),
    );
    expect(certificateId({ raw: Buffer.alloc(0) })).toBeNull();
    expect(certificateId({ raw: Buffer.of(0x30, 0x84, 0xff, 0xff, 0xff, 0xff) })).toBeNull();
  });
});
