import { execFileSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeSelfSigned } from '../../../../src/runtime/tls/self-signed.ts';

const NOW = new Date('2030-05-06T07:08:09.123Z');
const parse = (names: string[], now = NOW) => new X509Certificate(makeSelfSigned(names, now).cert);

describe('makeSelfSigned', () => {
  test('gives a certificate that its own key signed, and that is no CA', () => {
    const { cert, key } = makeSelfSigned(['localhost'], NOW);
    const parsed = new X509Certificate(cert);
    expect(parsed.checkPrivateKey(createPrivateKey(key))).toBe(true);
    expect(parsed.verify(parsed.publicKey)).toBe(true);
    expect(parsed.checkIssued(parsed)).toBe(true);
    expect(parsed.ca).toBe(false);
    expect(parsed.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect(parsed.publicKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
  });

  test('is valid from a day before until 89 days after, to the second', () => {
    const parsed = parse(['localhost']);
    expect(new Date(parsed.validFrom).toISOString()).toBe('2030-05-05T07:08:09.000Z');
    expect(new Date(parsed.validTo).toISOString()).toBe('2030-08-03T07:08:09.000Z');
  });

  test('writes dates from 2050 on as GeneralizedTime', () => {
    const parsed = parse(['localhost'], new Date('2049-12-31T00:00:00Z'));
    expect(new Date(parsed.validFrom).toISOString()).toBe('2049-12-30T00:00:00.000Z');
    expect(new Date(parsed.validTo).toISOString()).toBe('2050-03-30T00:00:00.000Z');
  });

  test('names localhost by its addresses too, each once', () => {
    expect(parse(['localhost', '127.0.0.1', 'LOCALHOST']).subjectAltName).toBe(
      'DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1',
    );
  });

  test('takes DNS names, wildcards and addresses in any spelling', () => {
    const parsed = parse([
      'App.Example.com',
      '*.example.org',
      'xn--bcher-kva.example',
      '192.0.2.7',
      '2001:DB8::7',
      '::ffff:192.0.2.8',
    ]);
    expect(parsed.checkHost('app.example.com')).toBe('app.example.com');
    expect(parsed.checkHost('a.example.org')).toBe('*.example.org');
    expect(parsed.checkHost('a.b.example.org')).toBeUndefined();
    expect(parsed.checkHost('xn--bcher-kva.example')).toBe('xn--bcher-kva.example');
    expect(parsed.checkIP('192.0.2.7')).toBe('192.0.2.7');
    expect(parsed.checkIP('2001:db8:0:0::7')).toBeDefined();
    expect(parsed.checkIP('::ffff:c000:208')).toBeDefined();
    expect(parsed.checkIP('2001:db8::8')).toBeUndefined();
  });

  test.each([
    ['::', '0:0:0:0:0:0:0:0'],
    ['1::', '1:0:0:0:0:0:0:0'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
    ['1:2:3::7:8', '1:2:3:0:0:0:7:8'],
    ['fe80::abcd', 'FE80:0:0:0:0:0:0:ABCD'],
  ])('writes %s as its 16 octets', (address, expected) => {
    expect(parse([address]).subjectAltName).toBe(`IP Address:${expected}`);
  });

  test('leaves the common name out where the name is too long for it', () => {
    const long = `${'a'.repeat(60)}.example.com`;
    const parsed = parse([long]);
    expect(parsed.subject).toBe('O=Upgate self-signed');
    expect(parsed.checkHost(long)).toBe(long);
  });

  test('holds many names: a length of three octets', () => {
    const names = Array.from({ length: 300 }, (_, index) => `host-${index}.example.com`);
    const parsed = parse(names);
    expect(parsed.checkHost('host-299.example.com')).toBe('host-299.example.com');
    expect(parsed.raw.length).toBeGreaterThan(0xff);
  });

  test('gives every certificate its own key and a positive serial of 16 octets', () => {
    const first = parse(['localhost']);
    const second = parse(['localhost']);
    expect(first.serialNumber).toMatch(/^[4-7][0-9A-F]{31}$/);
    expect(second.serialNumber).not.toBe(first.serialNumber);
    expect(second.fingerprint256).not.toBe(first.fingerprint256);
  });

  test.each([
    '',
    ' ',
    'foo bar',
    'a..b',
    '-a.example',
    '1.2.3',
    '256.1.1.1',
    '*',
    '*.*.example',
    'fe80::1%eth0',
    'a.example.',
    '[::1]',
    'a:80',
    `${'a'.repeat(64)}.example`,
  ])('refuses %j, and names it', (name) => {
    expect(() => makeSelfSigned([name], NOW)).toThrow(`${JSON.stringify(name)} is neither`);
  });

  test('refuses to certify nothing', () => {
    expect(() => makeSelfSigned([], NOW)).toThrow('at least one name');
  });
});

const hasOpenssl = (() => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

describe.skipIf(!hasOpenssl)('as openssl sees it', () => {
  let dir: string;
  let file: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'upgate-'));
    file = join(dir, 'cert.pem');
    writeFileSync(file, makeSelfSigned(['localhost', 'app.example.com'], new Date()).cert);
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  test.each([
    ['-verify_hostname', 'app.example.com'],
    ['-verify_ip', '::1'],
  ])('verifies strictly as a server with %s %s', (option, value) => {
    const answer = execFileSync('openssl', [
      'verify',
      '-x509_strict',
      '-purpose',
      'sslserver',
      option,
      value,
      '-CAfile',
      file,
      file,
    ]);
    expect(answer.toString()).toBe(`${file}: OK\n`);
  });

  test('prints its extensions', () => {
    const text = execFileSync('openssl', ['x509', '-in', file, '-noout', '-text']).toString();
    expect(text).toContain('Version: 3 (0x2)');
    expect(text).toContain('Signature Algorithm: ecdsa-with-SHA256');
    expect(text).toMatch(/Basic Constraints: critical\s+CA:FALSE/);
    expect(text).toMatch(/Extended Key Usage: \s+TLS Web Server Authentication/);
  });
});
