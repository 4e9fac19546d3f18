import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadStaple, readResponse } from '../../../../src/runtime/tls/ocsp.ts';
import type { TlsConfigError } from '../../../../src/runtime/tls/pem.ts';
import { makeAuthority } from '../../../support/authority.ts';

const authority = makeAuthority();
afterAll(() => authority.remove());
const [served, other] = [authority.issue('served', 'a.test'), authority.issue('other', 'b.test')];
const leaf = new X509Certificate(served.cert);
const file = authority.staple(served);
const octets = readFileSync(file);
const NOW = new Date();
const DAY_MS = 86_400_000;
const load = (from: string, now = NOW) => loadStaple(from, leaf, { path: ['ocsp_file'], now });

describe('a response', () => {
  it('is for one certificate, says that it is good, and until when', () => {
    const [status, ...more] = readResponse(octets)!;
    expect(more).toEqual([]);
    expect(status).toMatchObject({ serial: leaf.serialNumber, good: true });
    expect(Math.abs(status!.untilMs - NOW.getTime() - 2 * DAY_MS)).toBeLessThan(60_000);
  });

  it('is none where any of it is missing, and never more than that', () => {
    for (let length = 0; length < octets.length; length++) expect(readResponse(octets.subarray(0, length))).toBeNull();
    for (let at = 0; at < octets.length; at++) {
      for (const octet of [0x00, 0x30, 0x7f, 0x80, 0x84, 0xff]) {
        const changed = Buffer.from(octets);
        changed[at] = octet;
        expect(() => readResponse(changed)).not.toThrow();
      }
    }
  });

  it('is none where the authority had an error: tryLater, unauthorized', () => {
    for (const status of [3, 6]) expect(readResponse(Buffer.of(0x30, 3, 0x0a, 1, status))).toBeNull();
  });
});

describe('a file to be stapled', () => {
  it('is sent as it is, until it is too old', async () => {
    const { staple, warnings } = await load(file);
    expect([staple?.octets, warnings]).toEqual([octets, []]);
    const old = await load(file, new Date(NOW.getTime() + 3 * DAY_MS));
    expect(old.staple).toBeNull();
    expect(old.warnings).toMatchObject([{ severity: 'warning', message: expect.stringMatching(/ended on .*GMT$/) }]);
  });

  it('that says revoked is not sent, with a warning', async () => {
    const { staple, warnings } = await load(authority.staple(served, { revoked: true }));
    expect(staple).toBeNull();
    expect(warnings).toMatchObject([{ message: expect.stringContaining('does not say that the certificate is good') }]);
  });

  it.each([
    ['is for another certificate', () => authority.staple(other), /is for another certificate$/],
    ['is none', () => served.files.cert, /holds no OCSP response$/],
    ['is missing', () => join(authority.dir, 'gone'), /there is no such file$/],
    ['is cut short', () => cut(), /holds no OCSP response$/],
  ])('that %s is an error', async (_, from, message) => {
    const error = (await load(from()).catch((thrown: unknown) => thrown)) as TlsConfigError;
    expect(error.problems).toMatchObject([{ path: ['ocsp_file'], message: expect.stringMatching(message) }]);
  });
});

function cut(): string {
  const name = join(authority.dir, 'cut.ocsp');
  writeFileSync(name, octets.subarray(0, 100));
  return name;
}
