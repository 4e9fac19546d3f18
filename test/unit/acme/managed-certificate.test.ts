// A certificate over its life, with an authority that does what a real one can't be made to do and a clock that the test moves.
import { X509Certificate } from 'node:crypto';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Challenges } from '../../../src/acme/challenges.ts';
import { type CertificateSettings, ManagedCertificate } from '../../../src/acme/managed-certificate.ts';
import { validityOf } from '../../../src/acme/renewal.ts';
import type { CertificateOrdered } from '../../../src/events/certificate.ts';
import type { GatewayEvent } from '../../../src/events.ts';
import { type AcmeServer, problem, startAcmeServer } from '../../support/acme-server.ts';
import { TestClock } from '../../support/clock.ts';

const DAY = 86_400_000;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DOMAINS = ['a.example', 'b.example'];

let server: AcmeServer;
let clock: TestClock;
let challenges: Challenges;
let dir: string;
const running: ManagedCertificate[] = [];

beforeAll(async () => {
  server = await startAcmeServer();
});
afterAll(() => server.close());
beforeEach(() => {
  server.reset();
  clock = new TestClock(Date.now());
  challenges = new Challenges(clock);
  dir = mkdtempSync(join(tmpdir(), 'upgate-acme-'));
  writeFileSync(join(dir, 'ca.pem'), server.ca);
  // An authority that reads what is served for the challenge, as over the net.
  server.validate = async ({ type, domain, token }) =>
    type === 'http-01'
      ? ((await challenges.textFor(token)) ?? '').startsWith(`${token}.`)
      : challenges.contextFor(domain) !== null;
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((managed) => managed.abandon()));
  rmSync(dir, { recursive: true, force: true });
});

/** Ends of orders, past and future. */
class Orders {
  readonly #ended: CertificateOrdered[] = [];
  #onEvent = (): void => {};

  readonly emit = (event: GatewayEvent): void => {
    if (event.type !== 'certificate_ordered') throw new Error(`an event of another kind: ${event.type}`);
    this.#ended.push(event);
    this.#onEvent();
  };

  get count(): number {
    return this.#ended.length;
  }

  /** The next one that was not taken yet. */
  async next(): Promise<CertificateOrdered> {
    while (this.#ended.length === 0) await new Promise<void>((resolve) => (this.#onEvent = resolve));
    return this.#ended.shift() as CertificateOrdered;
  }
}

function settings(changes: Partial<CertificateSettings> = {}): CertificateSettings {
  const folder = join(dir, 'acme', 'authority');
  return {
    ...{ domains: DOMAINS, email: 'ops@example.com', directory: server.directory, eab: null, ca: join(dir, 'ca.pem') },
    ...{ challenges: ['http-01', 'tls-alpn-01'], folder, file: join(folder, 'a.example.pem') },
    ...changes,
  };
}

function start(changes: Partial<CertificateSettings> = {}) {
  const orders = new Orders();
  const services = { challenges, clock, random: () => 0, emit: orders.emit, version: '1.2.3' };
  const managed = new ManagedCertificate(settings(changes), services);
  running.push(managed);
  managed.start();
  clock.advance(0);
  return { managed, orders, file: settings(changes).file };
}

const JSON_FIELDS = { 'content-type': 'application/json' };
const json = (value: object) => ({ status: 200, fields: JSON_FIELDS, body: JSON.stringify(value) });
const PENDING = { status: 'pending', identifier: { type: 'dns', value: DOMAINS[0] } };
/** What String() throws at. */
const NO_TEXT = { toString: 1, valueOf: 1 };

const asked = (resource: string) => server.received.filter((request) => request.resource === resource);
const leafOf = (file: string) => new X509Certificate(readFileSync(file));
/** Lets what was begun come to where it waits for the clock. */
async function untilWaiting(ms: number): Promise<void> {
  while (!clock.waits.some((wait) => Math.abs(wait - ms) < 1)) await new Promise((resolve) => setImmediate(resolve));
}

describe('the first order', () => {
  it('ends with a certificate for the names and its key, in a file of its owner alone', async () => {
    const { orders, file } = start();
    expect(await orders.next()).toMatchObject({
      ...{ result: 'issued', names: DOMAINS, reason: null, detail: null, retryInMs: null },
      notAfterMs: Date.parse(leafOf(file).validTo),
    });
    expect(DOMAINS.every((name) => leafOf(file).checkHost(name) === name)).toBe(true);
    expect(readFileSync(file, 'utf8').match(/BEGIN [A-Z ]+/g)).toEqual([
      'BEGIN PRIVATE KEY',
      'BEGIN CERTIFICATE',
      'BEGIN CERTIFICATE',
    ]);
    await untilWaiting(HOUR);
    for (const name of readdirSync(dirname(file), { recursive: true, encoding: 'utf8' })) {
      const { mode } = statSync(join(dirname(file), name));
      expect(`${name} ${(mode & 0o777).toString(8)}`).toBe(`${name} ${name === 'challenges' ? '700' : '600'}`);
    }
    expect(readdirSync(dirname(file)).sort()).toEqual(['a.example.pem', 'account.json', 'account.key', 'challenges']);
    expect(readdirSync(join(dirname(file), 'challenges'))).toEqual([]);
    expect(asked('account')[0]?.payload).toEqual({ termsOfServiceAgreed: true, contact: ['mailto:ops@example.com'] });
    expect(asked('challenge')).toHaveLength(2);
  });

  it('takes the account that was made before, and makes another one where the authority has forgotten it', async () => {
    const first = start();
    await first.orders.next();
    await first.managed.abandon();
    const second = start({ file: join(dir, 'acme', 'authority', 'other.pem') });
    expect(await second.orders.next()).toMatchObject({ result: 'issued' });
    expect(asked('account')).toHaveLength(1);
    server.forget();
    const third = start({ file: join(dir, 'acme', 'authority', 'third.pem') });
    expect(await third.orders.next()).toMatchObject({ result: 'issued' });
    expect(asked('account')).toHaveLength(2);
  });

  it('tells the authority of another address', async () => {
    const first = start();
    await first.orders.next();
    await first.managed.abandon();
    await start({ email: 'new@example.com', file: join(dir, 'acme', 'authority', 'other.pem') }).orders.next();
    expect(asked('account').map(({ payload }) => payload?.['contact'])).toEqual([
      ['mailto:ops@example.com'],
      ['mailto:new@example.com'],
    ]);
  });

  it('binds an external account', async () => {
    await start({ eab: { kid: 'kid-1', key: 'c2VjcmV0' } }).orders.next();
    const binding = asked('account')[0]?.payload?.['externalAccountBinding'] as { protected: string };
    const header = JSON.parse(Buffer.from(binding.protected, 'base64url').toString()) as unknown;
    expect(header).toEqual({ alg: 'HS256', kid: 'kid-1', url: server.directory.replace('directory', 'account') });
  });

  it('repeats what was refused for its nonce', async () => {
    server.instead.set('new-order', [problem('badNonce', 'no', {}, 400), problem('badNonce', 'no', {}, 400)]);
    expect(await start().orders.next()).toMatchObject({ result: 'issued' });
    expect(asked('new-order')).toHaveLength(3);
  });
});

describe('an order that fails', () => {
  it.each<[string, () => void, object]>([
    [
      'for the limits of the authority waits as long as it says',
      () =>
        server.instead.set('new-order', [
          problem('rateLimited', 'too many certificates', { 'retry-after': '7200' }, 429),
        ]),
      { reason: 'rateLimited', detail: 'rateLimited: too many certificates', retryInMs: 7_200_000 },
    ],
    [
      'for a nonce again and again is given up',
      () =>
        server.instead.set(
          'new-order',
          Array.from({ length: 9 }, () => problem('badNonce', 'no', {}, 400)),
        ),
      { reason: 'badNonce', retryInMs: MINUTE },
    ],
    [
      'for an answer that is no JSON',
      () => server.instead.set('new-order', [{ status: 201, fields: { location: 'https://x/' }, body: '<html>' }]),
      { reason: 'malformed', detail: 'the authority\'s answer has no list "authorizations"' },
    ],
    [
      'for a directory that names no https',
      () =>
        server.instead.set('directory', [
          {
            status: 200,
            fields: { 'content-type': 'application/json' },
            body: '{"newNonce":"a","newAccount":"http://x/","newOrder":"b"}',
          },
        ]),
      { reason: 'malformed', detail: '"http://x/" is no https URL' },
    ],
    [
      'for a certificate that is none',
      () => server.instead.set('certificate', [{ status: 200, body: 'hello' }]),
      { reason: 'malformed', detail: 'the authority gave no certificate' },
    ],
    [
      'for an answer without an end to it',
      () => server.instead.set('certificate', [{ status: 200, body: 'x'.repeat(300_000) }]),
      { reason: 'malformed', detail: 'an answer of more than 262144 bytes' },
    ],
    [
      'for a server error without a document',
      () => server.instead.set('finalize', [{ status: 500, body: 'oops' }]),
      { reason: 'other', detail: 'error: the authority answers 500' },
    ],
    [
      'for challenges that it does not know',
      () => Object.assign(server, { offered: ['dns-01'] }),
      { reason: 'unauthorized', detail: "a.example can't be proved: the authority offers dns-01" },
    ],
    [
      'for a challenge whose type has no text',
      () => server.instead.set('authorization', [json({ ...PENDING, challenges: [{ type: NO_TEXT }, { type: 'x' }] })]),
      { reason: 'unauthorized', detail: "a.example can't be proved: the authority offers unnamed, x" },
    ],
    [
      'for an authorization whose URL has no text',
      () =>
        server.instead.set('new-order', [
          { ...json({ authorizations: [NO_TEXT] }), fields: { ...JSON_FIELDS, location: 'https://x/' } },
        ]),
      { reason: 'malformed', detail: '"" is no https URL' },
    ],
    [
      'for a status of many lines says it in one, not at length',
      () => server.instead.set('authorization', [json({ ...PENDING, status: 'a\r\nb'.repeat(1000) })]),
      { reason: 'unauthorized', detail: expect.stringMatching(/^an authorization is (?:a b){100,125}[ab ]{0,2}…$/) },
    ],
    [
      'for a challenge that the authority could not see',
      () => Object.assign(server, { validate: () => false }),
      { reason: 'unauthorized', detail: 'a.example: unauthorized: got "<html>" for a.example' },
    ],
  ])('%s', async (_, arrange, expected) => {
    arrange();
    const { orders, file } = start();
    expect(await orders.next()).toMatchObject({ result: 'failed', retryInMs: MINUTE, ...expected });
    expect(existsSync(file)).toBe(false);
    expect(existsSync(`${file}.lock`)).toBe(false);
  });

  it('is tried again, each time later, and by the other challenge', async () => {
    server.validate = ({ type }) => type === 'tls-alpn-01' && server.received.length > 40;
    const { orders, managed, file } = start();
    const authority = new URL(server.directory).host;
    const pending = { names: DOMAINS, authority, notAfterMs: null, lastError: null };
    expect(managed.state).toEqual({ ...pending, nextAttemptMs: clock.now() });
    const { detail } = await orders.next();
    await untilWaiting(MINUTE);
    const failed = { atMs: clock.now(), reason: 'unauthorized', detail };
    expect(managed.state).toEqual({ ...pending, lastError: failed, nextAttemptMs: clock.now() + MINUTE });
    clock.advance(MINUTE);
    expect(await orders.next()).toMatchObject({ result: 'failed', retryInMs: 3 * MINUTE });
    Object.assign(server, { validate: ({ type }: { type: string }) => type === 'http-01' });
    await untilWaiting(3 * MINUTE);
    expect(managed.state).toMatchObject({ lastError: { atMs: clock.now() }, nextAttemptMs: clock.now() + 3 * MINUTE });
    clock.advance(3 * MINUTE);
    expect(await orders.next()).toMatchObject({ result: 'issued' });
    const [from, to] = [Date.parse(leafOf(file).validFrom), Date.parse(leafOf(file).validTo)];
    expect(managed.state).toEqual({ ...pending, notAfterMs: to, nextAttemptMs: to - (to - from) / 3 });
  });

  it('for want of the authority has its reason, and so has one for want of a directory to write to', async () => {
    const { directory } = server;
    expect(await start({ directory: directory.replace(/:\d+/, ':1') }).orders.next()).toMatchObject({
      ...{ result: 'failed', reason: 'connection', detail: expect.stringContaining('ECONNREFUSED') },
    });
    writeFileSync(join(dir, 'file'), '');
    const { orders } = start({ file: join(dir, 'file', 'a.pem'), folder: join(dir, 'file') });
    expect(await orders.next()).toMatchObject({ result: 'failed', reason: 'storage' });
  });

  it('for want of an end to an order has one all the same', async () => {
    const pending = { status: 200, fields: { 'content-type': 'application/json' }, body: '{"status":"processing"}' };
    server.instead.set(
      'order',
      Array.from({ length: 2000 }, () => pending),
    );
    const body = { detail: 'the order is processing after 10 minutes', reason: 'timeout' };
    server.instead.set('finalize', [pending]);
    const first = {
      ...pending,
      body: JSON.stringify({ status: 'ready', finalize: server.directory.replace('directory', 'finalize/0') }),
    };
    server.instead.get('order')?.unshift(first);
    const { orders } = start();
    // Beside what touches the lock, the order waits to ask again.
    while (orders.count === 0) {
      if (clock.waits.length > 1) clock.advance(clock.waits[0] as number);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await orders.next()).toMatchObject({ result: 'failed', ...body });
  });

  it('breaks off where the process ends', async () => {
    const { managed, file } = start();
    await managed.abandon();
    expect(existsSync(`${file}.lock`)).toBe(false);
    expect(clock.waits).toEqual([]);
  });
});

describe('renewal', () => {
  it('is with a third of the life left, the old certificate in its place until then', async () => {
    const { orders, file } = start();
    await orders.next();
    const first = leafOf(file);
    await untilWaiting(HOUR);
    // The authority's own time stands still: it issues for 90 days from the real now.
    for (let hours = 0; hours < 59 * 24; hours++) clock.advance(3600_000);
    expect(orders.count).toBe(0);
    expect(leafOf(file).serialNumber).toBe(first.serialNumber);
    server.days = 180;
    await untilWaitingAtMost(3600_000);
    clock.advance(2 * DAY);
    expect(await orders.next()).toMatchObject({ result: 'issued' });
    expect(leafOf(file).serialNumber).not.toBe(first.serialNumber);
  });

  it('fails without harm to what there is', async () => {
    const { orders, file } = start();
    await orders.next();
    const before = readFileSync(file, 'utf8');
    await untilWaiting(HOUR);
    server.instead.set('new-order', [problem('serverInternal', 'down for maintenance', {}, 503)]);
    await advanceInHours(61);
    expect(await orders.next()).toMatchObject({ result: 'failed', reason: 'serverInternal' });
    expect(readFileSync(file, 'utf8')).toBe(before);
  });

  it('is with a third of the life left, where the window of the authority has no text', async () => {
    server.suggested = { start: NO_TEXT, end: NO_TEXT } as never;
    const { managed, orders, file } = start();
    await orders.next();
    await untilWaiting(HOUR);
    await advanceInHours(1);
    await expect.poll(() => asked('renewal-info').length).toBeGreaterThan(0);
    await advanceInHours(1);
    const { from, to } = validityOf(leafOf(file));
    expect(managed.state).toMatchObject({ lastError: null, nextAttemptMs: to - (to - from) / 3 });
    expect(orders.count).toBe(0);
  });

  it('is when the authority says, and says what it replaces', async () => {
    const { orders } = start();
    await orders.next();
    const soon = new Date(clock.now() + 2 * DAY).toISOString();
    server.suggested = { start: soon, end: new Date(clock.now() + 3 * DAY).toISOString() };
    await untilWaiting(HOUR);
    // What the directory said before is asked anew within a day.
    await advanceInHours(4);
    expect(await orders.next()).toMatchObject({ result: 'issued' });
    expect(asked('renewal-info').length).toBeGreaterThan(0);
    expect(asked('new-order').at(-1)?.payload?.['replaces']).toMatch(/^[\w-]+\.[\w-]+$/);
  });
});

describe('several gateways', () => {
  it('order one certificate, which serves both', async () => {
    const both = [start(), start()];
    expect(await Promise.race(both.map(({ orders }) => orders.next()))).toMatchObject({ result: 'issued' });
    await untilWaiting(15_000);
    clock.advance(15_000);
    // Both have it now, and look again in an hour.
    while (clock.waits.length < 2) await new Promise((resolve) => setImmediate(resolve));
    expect(clock.waits.every((ms) => ms > 50 * MINUTE)).toBe(true);
    expect(asked('new-order')).toHaveLength(1);
  });

  it('a lock that nobody holds any more is taken over', async () => {
    const { file } = start();
    const path = `${settings({ file: `${file}.b` }).file}.lock`;
    await untilExists(dirname(path));
    writeFileSync(path, 'elsewhere 1 run\n');
    const { orders } = start({ file: `${file}.b` });
    await untilWaiting(15_000);
    clock.advance(15_000);
    await untilWaiting(15_000);
    // Its holder is still there.
    utimesSync(path, new Date(), new Date());
    for (let i = 0; i < 3; i++) {
      clock.advance(15_000);
      await untilWaiting(15_000);
    }
    expect(orders.count).toBe(0);
    for (let i = 0; i < 3; i++) {
      clock.advance(15_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await orders.next()).toMatchObject({ result: 'issued' });
  });
});

async function untilExists(path: string): Promise<void> {
  while (!existsSync(path)) await new Promise((resolve) => setImmediate(resolve));
}
async function untilWaitingAtMost(ms: number): Promise<void> {
  while (clock.waits.length === 0 || clock.waits[0]! > ms) await new Promise((resolve) => setImmediate(resolve));
}
/** Days in steps of hours, each of which comes to its end. */
async function advanceInHours(days: number): Promise<void> {
  for (let hours = 0; hours < days * 24; hours++) {
    clock.advance(3600_000);
    if (clock.waits.length === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}
