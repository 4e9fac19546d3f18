// Names of servers on their way to addresses: what one that nobody answers costs, and whom.
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ClientClosed } from '../../../src/net/client-closed.ts';
import { dial } from '../../../src/net/dial.ts';
import { NameCache, type NameCacheOptions } from '../../../src/upstream/name-cache.ts';
import type { Resolution } from '../../../src/upstream/resolver.ts';
import { openSystemNames } from '../../../src/upstream/system-names.ts';
import { startDns, type TestDns } from '../../support/dns.ts';
import { TEST_TIMEOUT_MS } from '../../support/test-timeout.ts';

const good = (addresses: readonly string[], ttlMs = 0): Resolution => ({ addresses, ttlMs, fault: null });
const bad = (fault: string): Resolution => ({ addresses: [], ttlMs: 0, fault });

/** A cache whose questions the test answers, and whose clock it turns. */
function makeCache(options: NameCacheOptions = {}) {
  const asked: { name: string; answer: (answer: Resolution) => void }[] = [];
  const clock = { now: 0 };
  const cache = new NameCache({
    lookUp: (name) => new Promise((resolve) => asked.push({ name, answer: resolve })),
    now: () => clock.now,
    ...options,
  });
  return { cache, asked, clock };
}

describe('one name', () => {
  it('is asked for once at a time, and all who wait share the answer', async () => {
    const { cache, asked } = makeCache();
    const finds = Array.from({ length: 50 }, () => cache.find('chat.test'));
    expect(asked.map(({ name }) => name)).toEqual(['chat.test']);
    asked[0]?.answer(good(['10.0.0.1']));
    expect(new Set((await Promise.all(finds)).flat())).toEqual(new Set(['10.0.0.1']));
  });

  it('does not wait for another one', async () => {
    const { cache, asked } = makeCache();
    const waiting = cache.find('silent.test');
    const found = cache.find('chat.test');
    asked[1]?.answer(good(['10.0.0.1']));
    expect(await found).toEqual(['10.0.0.1']);
    asked[0]?.answer(bad('ETIMEOUT'));
    await expect(waiting).rejects.toMatchObject({ code: 'ETIMEOUT', message: expect.stringContaining('silent.test') });
  });

  it('is asked for again when its answer has run out: after its TTL, a second at least, a minute at most', async () => {
    for (const [ttl, used] of [
      [0, 1000],
      [5000, 5000],
      [3_600_000, 60_000],
    ] as const) {
      const { cache, asked, clock } = makeCache();
      const first = cache.find('chat.test');
      asked[0]?.answer(good(['10.0.0.1'], ttl));
      await first;
      clock.now = used - 1;
      expect(await cache.find('chat.test')).toEqual(['10.0.0.1']);
      expect(asked).toHaveLength(1);
      clock.now = used;
      const second = cache.find('chat.test');
      expect(asked).toHaveLength(2);
      asked[1]?.answer(good(['10.0.0.2']));
      expect(await second).toEqual(['10.0.0.2']);
    }
  });

  it('keeps its last good answer while a new one is asked for, and where the new one is none', async () => {
    const { cache, asked, clock } = makeCache({ refreshTimeoutMs: 1 });
    const first = cache.find('chat.test');
    asked[0]?.answer(good(['10.0.0.1']));
    await first;
    clock.now = 2000;
    // Nobody answers: those who connect wait for a moment, and share the question.
    expect(await cache.find('chat.test')).toEqual(['10.0.0.1']);
    expect(await cache.find('chat.test')).toEqual(['10.0.0.1']);
    expect(asked).toHaveLength(2);
    asked[1]?.answer(bad('ETIMEOUT'));
    await new Promise(setImmediate);
    // From now on nobody waits at all, though it is asked for again.
    expect(await cache.find('chat.test')).toEqual(['10.0.0.1']);
    expect(asked).toHaveLength(3);
    asked[2]?.answer(good(['10.0.0.3']));
    await new Promise(setImmediate);
    expect(await cache.find('chat.test')).toEqual(['10.0.0.3']);
  });

  it('lets those who wait go at the deadline, and is still asked for once', async () => {
    const { cache, asked } = makeCache({ deadlineMs: 1 });
    await expect(cache.find('silent.test')).rejects.toMatchObject({ code: 'ETIMEOUT' });
    await expect(cache.find('silent.test')).rejects.toMatchObject({ code: 'ETIMEOUT' });
    expect(asked).toHaveLength(1);
  });

  it('gives net.connect what it asks for', async () => {
    const cache = new NameCache({ lookUp: async (name) => good(name === 'none.test' ? [] : ['10.0.0.1', 'fd00::1']) });
    const look = (name: string, options: object) =>
      new Promise((resolve) => cache.lookup(name, options, (...given) => resolve(given)));
    expect(await look('chat.test', { all: true })).toEqual([
      null,
      [
        { address: '10.0.0.1', family: 4 },
        { address: 'fd00::1', family: 6 },
      ],
    ]);
    expect(await look('chat.test', {})).toEqual([null, '10.0.0.1', 4]);
    expect(await look('chat.test', { family: 6 })).toEqual([null, 'fd00::1', 6]);
    expect(await look('none.test', { all: true })).toEqual([expect.objectContaining({ code: 'ENOTFOUND' }), '']);
  });
});

describe('with a DNS server that does not answer', () => {
  const silent = Array.from({ length: 20 }, (_, i) => `silent-${i}.test`);
  let dns: TestDns;
  beforeEach(async () => {
    dns = await startDns({
      ...Object.fromEntries(silent.map((name) => [name, 'silent' as const])),
      'chat.test': ['127.0.0.1'],
    });
  });
  afterEach(() => dns.close());

  it.each(['localhost', 'chat.test'])('%s is connected to while twenty names go unanswered', async (host) => {
    const listening = createServer((socket) => socket.end());
    await once(listening.listen(0, '127.0.0.1'), 'listening');
    const { port } = listening.address() as AddressInfo;
    const { lookup } = new NameCache({ lookUp: openSystemNames({ resolvers: [dns.address] }) });
    const to = (name: string) => ({ url: `ws://${name}:${port}`, secure: false, host: name, port, lookup });
    let unanswered = silent.length * 3;
    const stuck = [...silent, ...silent, ...silent].map((name) => {
      const gone = new ClientClosed();
      const failed = dial(to(name), TEST_TIMEOUT_MS, gone).catch(() => unanswered--);
      return { gone, failed };
    });
    const socket = await dial(to(host), TEST_TIMEOUT_MS, new ClientClosed());
    expect(unanswered).toBe(silent.length * 3);
    socket.destroy();
    for (const { gone } of stuck) gone.notify();
    await Promise.all(stuck.map(({ failed }) => failed));
    listening.close();
    // Each name once, and once more where nothing came back: not once for each who waits.
    for (const name of silent) expect(dns.asked.filter((one) => one === `A ${name}`).length).toBeLessThanOrEqual(2);
  });
});
