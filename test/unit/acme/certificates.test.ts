// What a reload does to certificates that are ordered.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { AcmeCertificates } from '../../../src/acme/certificates.ts';
import type { CertificateSettings } from '../../../src/acme/managed-certificate.ts';
import { wantedCertificates } from '../../../src/acme/settings.ts';
import { schema } from '../../../src/config/schema/schema.ts';
import type { GatewayEvent } from '../../../src/events.ts';
import { TestClock } from '../../support/clock.ts';

const dir = mkdtempSync(join(tmpdir(), 'upgate-acme-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const tls = (domain: string) => ({
  acme: { domains: [domain], storage: 'acme', directory: 'https://ca.example/dir', terms_agreed: true },
});
const wanted = (...listeners: object[]): CertificateSettings[] =>
  wantedCertificates(schema.parse({ listeners, routes: [{ name: 'a', respond: {} }] }), dir);

it('are those of the listeners, proved by what there is', () => {
  const folder = join(dir, 'acme', 'ca.example-dir');
  expect(wanted({ port: 80 }, { port: 443, tls: tls('a.example') })).toEqual([
    {
      ...{ domains: ['a.example'], email: null, directory: 'https://ca.example/dir', eab: null, ca: null },
      ...{ challenges: ['http-01', 'tls-alpn-01'], folder, file: join(folder, 'a.example.pem') },
    },
  ]);
  const challengesOf = (...listeners: object[]) => wanted(...listeners).map(({ challenges }) => challenges);
  expect(challengesOf({ port: 443, tls: tls('a.example') })).toEqual([['tls-alpn-01']]);
  expect(challengesOf({ port: 80 }, { unix: '/run/a', tls: tls('a.example') })).toEqual([['http-01']]);
  expect(challengesOf({ unix: '/run/b' }, { port: 443, tls: tls('a.example') })).toEqual([['tls-alpn-01']]);
});

it('go on where a reload leaves them as they are, and stop where it does not', async () => {
  const clock = new TestClock(Date.now());
  const events: GatewayEvent[] = [];
  const emit = (event: GatewayEvent) => void events.push(event);
  const certificates = new AcmeCertificates({ clock, random: () => 0, emit, version: '1.2.3' });
  const two = [
    { port: 443, tls: tls('a.example') },
    { port: 8443, tls: tls('b.example') },
  ] as const;
  certificates.configure(wanted(...two));
  // Nothing is done before the first look.
  expect(clock.waits).toEqual([0, 0]);
  const sampled = () => [...certificates.sample()].map(({ labels, value }) => [labels['names'], value]);
  expect(sampled()).toEqual([
    ['a.example', 1],
    ['b.example', 1],
  ]);
  certificates.configure(wanted(...two, { port: 9443, tls: tls('a.example') }));
  expect(clock.waits).toEqual([0, 0]);
  certificates.configure(wanted(two[1]));
  expect(clock.waits).toEqual([0]);
  expect(sampled()).toEqual([['b.example', 1]]);
  certificates.configure(wanted({ port: 443, tls: tls('c.example') }));
  expect(clock.waits).toEqual([0]);
  await certificates.close();
  expect(clock.waits).toEqual([]);
  expect(events).toEqual([]);
});
