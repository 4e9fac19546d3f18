// The set of listeners that a reload moves on: what is new is bound first, what fails leaves nothing behind, and what is
// gone stops listening. Requests are tested through the whole gateway, in e2e/.
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { schema } from '../../../src/config/schema/schema.ts';
import type { GatewayEvent } from '../../../src/events.ts';
import { LimitsRuntime } from '../../../src/limits/limits-runtime.ts';
import { FdGuard } from '../../../src/listen/fd-limit.ts';
import { addressOf, type Wanted } from '../../../src/listen/listener.ts';
import { Listeners } from '../../../src/listen/listeners.ts';
import { AccessPhase } from '../../../src/pipeline/access.ts';
import { Gateway } from '../../../src/pipeline/requests.ts';
import { makeSelfSigned } from '../../../src/runtime/tls/self-signed.ts';
import { buildTls, type TlsMaterial } from '../../../src/runtime/tls/tls.ts';
import { keepaliveMs } from '../../support/keepalive.ts';

/** No connection of these tests says a word. */
const unused = (): never => {
  throw new Error('nothing is asked here');
};

let listeners: Listeners;
let events: GatewayEvent[];
beforeEach(() => {
  events = [];
  listeners = make();
});
afterEach(() => listeners.close());

function make(): Listeners {
  const gateway = new Gateway({
    snapshot: unused,
    access: new AccessPhase(new LimitsRuntime().admission),
    splice: unused,
    watchClient: unused,
    challengeText: unused,
  });
  const challenges = { awaitsTls: false, contextFor: () => null };
  const emit = (event: GatewayEvent): void => void events.push(event);
  return new Listeners(() => ({ gateway, acceptor: null, emit, fds: new FdGuard(unused), challenges }), emit);
}

function wanted(listener: object, tls: TlsMaterial | null = null): Wanted {
  const { listeners: parsed } = schema.parse({
    listeners: [{ host: '127.0.0.1', port: 0, ...listener }],
    routes: [{ name: 'a', http: { upstream: 'a' } }],
  });
  return { config: parsed[0]!, tls, server: 'own' };
}

/** Makes them the current ones; gives their ports. */
async function serve(...next: Wanted[]): Promise<number[]> {
  const prepared = await listeners.prepare(next);
  if (typeof prepared === 'string') throw new Error(prepared);
  listeners.swap(prepared);
  return listeners.current.map((listener) => (listener.bound() as AddressInfo).port);
}

/** Whether somebody listens on the port. */
async function listens(port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1' });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

const TLS = { strict_sni: false, min_version: '1.2', engine: 'node' } as const;
const selfSigned = (...names: string[]) =>
  buildTls({ ...TLS, self_signed: names }, { baseDir: '/', selfSigned: new Map(), now: new Date() });

it.runIf(process.platform === 'linux')('a connection is probed by the kernel after a minute of silence', async () => {
  const [port] = await serve(wanted({}));
  const socket = connect({ port: port!, host: '127.0.0.1' });
  await once(socket, 'connect');
  await expect.poll(() => keepaliveMs(port, socket.localPort)).toBeGreaterThan(30_000);
  expect(keepaliveMs(port, socket.localPort)).toBeLessThanOrEqual(61_000);
  socket.destroy();
});

/** What is sampled of certificates. */
const certificatesOf = (listeners: Listeners) =>
  [...listeners.sample()].filter(({ metric }) => metric.startsWith('tls_'));

describe('an address', () => {
  it.each([
    [{ port: 80 }, '[::]:80'],
    [{ host: '::1', port: 80 }, '[::1]:80'],
    [{ host: '127.0.0.1', port: 443 }, '127.0.0.1:443'],
    [{ host: 'localhost', port: 443 }, 'localhost:443'],
    [{ unix: '/run/upgate.sock' }, '/run/upgate.sock'],
  ])('of %j is %s', (listener, address) => {
    const routes = [{ name: 'a', http: { upstream: 'a' } }];
    expect(addressOf(schema.parse({ listeners: [listener], routes }).listeners[0]!)).toBe(address);
  });
});

describe('a set of listeners', () => {
  it('has two on any free port, which are two', async () => {
    const ports = await serve(wanted({}), wanted({}));
    expect(new Set(ports).size).toBe(2);
    expect(await Promise.all(ports.map(listens))).toEqual([true, true]);
    listeners.close();
    expect(await Promise.all(ports.map(listens))).toEqual([false, false]);
  });

  it('keeps those that stay, binds the new ones, and leaves those that are gone', async () => {
    const [kept, gone] = await serve(wanted({}), wanted({ host: '127.0.0.2' }));
    expect(gone).toBeDefined();
    const [still, added] = await serve(wanted({ timeouts: { head: '1s' } }), wanted({ host: '127.0.0.3' }));
    expect(still).toBe(kept);
    expect(events.filter((event) => event.type === 'notice')).toMatchObject([
      { message: 'listening', data: { address: '127.0.0.1', tls: false } },
      { message: 'listening', data: { address: '127.0.0.2' } },
      { message: 'listening', data: { address: '127.0.0.3', port: added } },
    ]);
    expect(listeners.current).toHaveLength(2);
  });

  it('says why it can’t bind, and what it had bound already is closed again', async () => {
    const [taken] = await serve(wanted({}));
    const before = listeners.current;
    const next = make();
    const failed = await next.prepare([wanted({ host: '127.0.0.4' }), wanted({ port: taken })]);
    expect(failed).toContain(`Cannot listen on 127.0.0.1:${taken}: the port is taken`);
    expect(next.current).toEqual([]);
    expect(listeners.current).toBe(before);
    expect(await listens(taken!)).toBe(true);
  });

  it('begins or stops to speak TLS only at a restart', async () => {
    const [port] = await serve(wanted({}));
    expect(await listeners.prepare([wanted({}, await selfSigned('localhost'))])).toMatch(/^127\.0\.0\.1:0: .*restart/);
    expect(await listens(port!)).toBe(true);
    expect(listeners.current[0]?.secure).toBe(false);
  });

  it('tells every certificate at each swap, and samples those in service', async () => {
    await serve(wanted({}, await selfSigned('localhost')));
    await serve(wanted({}, await selfSigned('a.example', 'b.example')));
    expect(events.filter((event) => event.type === 'certificate_loaded')).toMatchObject([
      { listener: '127.0.0.1:0', names: expect.arrayContaining(['localhost']) },
      { listener: '127.0.0.1:0', names: ['a.example', 'b.example'] },
    ]);
    expect(certificatesOf(listeners)).toEqual([
      {
        metric: 'tls_certificate_not_after_timestamp_seconds',
        labels: { listener: '127.0.0.1:0', names: 'a.example,b.example' },
        value: expect.closeTo(Date.now() / 1000 + 89 * 86_400, -2),
      },
    ]);
  });

  it('samples of two certificates with the same names the one that ends first', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'upgate-'));
    const certificates = [0, 20, 10].map((days, i) => {
      const pair = makeSelfSigned(['a.example'], new Date(Date.now() - days * 86_400_000));
      const files = { cert: join(dir, `${i}.crt`), key: join(dir, `${i}.key`) };
      writeFileSync(files.cert, pair.cert);
      writeFileSync(files.key, pair.key);
      return files;
    });
    const tls = await buildTls({ ...TLS, certificates }, { baseDir: dir, selfSigned: new Map(), now: new Date() });
    rmSync(dir, { recursive: true });
    await serve(wanted({}, tls));
    const ends = tls.certificates.map(({ notAfterMs }) => notAfterMs / 1000);
    expect(certificatesOf(listeners).map(({ value }) => value)).toEqual([Math.min(...ends)]);
  });

  it('that is prepared and not taken leaves nothing', async () => {
    await serve(wanted({}));
    const prepared = await listeners.prepare([wanted({}), wanted({ host: '127.0.0.5' })]);
    if (typeof prepared === 'string') throw new Error(prepared);
    const ports = prepared.places.map(({ listener }) => (listener.bound() as AddressInfo).port);
    const isNew = prepared.places.map((place) => place.isNew);
    listeners.discard(prepared);
    expect(isNew).toEqual([false, true]);
    expect(await listens(ports[0]!)).toBe(true);
    expect(prepared.places[1]!.listener.bound()).toBeNull();
  });
});
