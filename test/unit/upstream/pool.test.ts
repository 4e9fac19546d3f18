// The servers of one upstream: who may be picked, live counts that come back to nothing, and what goes on after a reload.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Pool, Server } from '../../../src/upstream/pool.ts';
import { ServerOverrides } from '../../../src/upstream/server-overrides.ts';
import { asking } from '../../support/balancer-request.ts';
import { makePool } from '../../support/pools.ts';

const hostsOf = (pool: Pool, count: number) =>
  Array.from({ length: count }, () => pool.pick(asking())?.host ?? '-').join('');
const ABC = ['ws://a:1', 'ws://b:1', 'ws://c:1'];

describe('a pool', () => {
  it('has its servers in the order of the config, with nothing on them', () => {
    const { pool } = makePool({});
    expect(pool.servers.map(({ url, live, weight, backup }) => ({ url, live, weight, backup }))).toEqual(
      ABC.map((url) => ({ url, live: 0, weight: 1, backup: false })),
    );
  });

  it('gives each in turn', () => {
    expect(hostsOf(makePool({}).pool, 4)).toBe('abca');
  });

  it('leaves out those already tried, to the last one', () => {
    const { pool } = makePool({});
    const tried: Server[] = [];
    for (let left = 3; left > 0; left--) {
      const server = pool.pick(asking(), tried);
      expect(tried).not.toContain(server);
      tried.push(server!);
    }
    expect(pool.pick(asking(), tried)).toBeNull();
  });

  it('balances by what is live where the config says so', () => {
    const { pool } = makePool({ balance: 'least_connections' });
    const leases = Array.from({ length: 3 }, () => pool.take(pool.pick(asking())!));
    expect(pool.servers.map(({ live }) => live)).toEqual([1, 1, 1]);
    leases[1]!.release();
    expect(pool.pick(asking())).toBe(leases[1]!.server);
  });

  it('keeps a key with its server, and elsewhere while that is tried', () => {
    const { pool } = makePool({ balance: { hash: { header: 'x-user' } } });
    const ask = asking({ fields: ['X-User', 'alice'] });
    const first = pool.pick(ask)!;
    expect(Array.from({ length: 5 }, () => pool.pick(ask))).toEqual(Array.from({ length: 5 }, () => first));
    expect(pool.pick(ask, [first])).not.toBe(first);
  });

  it('gives a server no more of a kind than its rate, and another one the rest', () => {
    vi.useFakeTimers();
    const { pool } = makePool({
      servers: [
        { url: 'ws://a:1', handshakes_per_second: { rate: 1, burst: 2 } },
        { url: 'ws://b:1', requests_per_second: { rate: 1, burst: 1 } },
      ],
      balance: 'least_connections',
    });
    const next = (kind: 'handshake' | 'plain') => {
      const ask = asking({ kind });
      const server = pool.pick(ask);
      if (server !== null) pool.take(server, ask).release();
      return server?.host ?? '-';
    };
    const many = (kind: 'handshake' | 'plain', count: number) => Array.from({ length: count }, () => next(kind));
    expect(many('handshake', 6).filter((host) => host === 'a')).toHaveLength(2);
    expect(many('plain', 6).filter((host) => host === 'b')).toHaveLength(1);
    // One of the gateway's own is not counted.
    expect(pool.servers.map((server) => server.takes(null, performance.now()))).toEqual([true, true]);
    vi.advanceTimersByTime(1000);
    expect(many('handshake', 6).filter((host) => host === 'a')).toHaveLength(1);
    vi.useRealTimers();
  });

  it('has no server left where all of them had as many as they may', () => {
    const { pool } = makePool({ servers: [{ url: 'ws://a:1', handshakes_per_second: { rate: 0.001, burst: 1 } }] });
    const ask = asking();
    pool.take(pool.pick(ask)!, ask);
    expect(pool.pick(ask)).toBeNull();
    expect(pool.pick({ ...ask, kind: 'plain' })).not.toBeNull();
  });

  it('keeps what a server has had of its rate in the next config, unless that is another one', () => {
    const configOf = (rate: object | undefined) => ({ servers: [{ url: 'ws://a:1', handshakes_per_second: rate }] });
    const slow = { rate: 0.001, burst: 1 };
    const { pool } = makePool(configOf(slow));
    const ask = asking();
    pool.take(pool.pick(ask)!, ask);
    const rates = [slow, { ...slow, burst: 2 }, undefined];
    expect(rates.map((rate) => makePool(configOf(rate), pool).pool.pick(ask)?.host ?? null)).toEqual([null, 'a', 'a']);
  });

  it('uses a backup only while none of the others can take more', () => {
    const { pool } = makePool({
      servers: [
        { url: 'ws://a:1', max_connections: 1 },
        { url: 'ws://b:1', backup: true },
      ],
    });
    expect(hostsOf(pool, 3)).toBe('aaa');
    const lease = pool.take(pool.servers[0]!);
    expect(hostsOf(pool, 3)).toBe('bbb');
    lease.release();
    expect(hostsOf(pool, 1)).toBe('a');
  });

  it('has none where all are full', () => {
    const { pool } = makePool({ servers: [{ url: 'ws://a:1', max_connections: 2 }] });
    const leases = [pool.take(pool.pick(asking())!), pool.take(pool.pick(asking())!)];
    expect(pool.pick(asking())).toBeNull();
    leases[0]!.release();
    expect(pool.pick(asking())?.host).toBe('a');
  });

  it('counts a release once, and tells the counts', () => {
    const { pool } = makePool({});
    pool.start();
    const lease = pool.take(pool.servers[0]!);
    pool.take(pool.servers[0]!);
    lease.release();
    lease.release();
    const samples = [...pool.sample()];
    expect(samples).toContainEqual({
      metric: 'upstream_connections',
      labels: { upstream: 'chat', server: 'ws://a:1' },
      value: 1,
    });
    expect(samples.map(({ metric, value }) => `${metric} ${value}`)).toEqual([
      'upstream_connections 1',
      'upstream_connections 0',
      'upstream_connections 0',
      'upstream_up 1',
      'upstream_up 1',
      'upstream_up 1',
    ]);
    pool.stop('for good');
  });
});

describe('the pool of the next config', () => {
  it('goes on with what is live on the servers that stay, and forgets the others when they are empty', () => {
    const { pool: first } = makePool({ balance: 'least_connections' });
    first.start();
    const leases = Array.from({ length: 6 }, () => first.take(first.pick(asking())!));
    const { pool: next } = makePool({ servers: ['ws://b:1', 'ws://d:1'], balance: 'least_connections' }, first);
    first.stop('replaced');
    next.start(first);
    expect(next.servers.map(({ live }) => live)).toEqual([2, 0]);
    expect(Array.from({ length: 2 }, () => next.take(next.pick(asking())!).server.host)).toEqual(['d', 'd']);
    const shown = () =>
      [...next.sample()]
        .filter(({ metric }) => metric === 'upstream_connections')
        .map(({ labels }) => labels['server']);
    expect(shown()).toEqual([...ABC, 'ws://d:1']);
    for (const lease of leases) lease.release();
    expect(shown()).toEqual(['ws://b:1', 'ws://d:1']);
    next.stop('for good');
  });

  it('serves those who hold the one before, as sessions do that began under it', () => {
    const { pool: first } = makePool({});
    first.start();
    const { pool: second } = makePool({ servers: ['ws://d:1'] }, first);
    first.stop('replaced');
    second.start(first);
    const { pool: third } = makePool({ servers: ['ws://e:1'] }, second);
    second.stop('replaced');
    third.start(second);
    expect([first, second, third].map((pool) => pool.pick(null)?.host)).toEqual(['e', 'e', 'e']);
    third.stop('for good');
  });

  it('that is thrown away changes nothing', () => {
    const { pool: first } = makePool({});
    first.start();
    makePool({ servers: ['ws://d:1'] }, first);
    expect([...first.sample()].map(({ labels }) => labels['server'])).toEqual([...ABC, ...ABC]);
    first.stop('for good');
  });
});

describe('slow start', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('gives a server that comes its part little by little, and none at the start of the gateway', () => {
    const { pool: first } = makePool({ servers: ['ws://a:1'], slow_start: '100s' });
    first.start();
    expect(first.servers[0]!.share).toBe(1);
    const { pool: next } = makePool({ servers: ['ws://a:1', 'ws://b:1'], slow_start: '100s' }, first);
    first.stop('replaced');
    next.start(first);
    const shareOf = () => next.servers.map(({ share }) => Math.round(share * 100) / 100);
    expect(shareOf()).toEqual([1, 0.1]);
    expect([...hostsOf(next, 110)].filter((host) => host === 'b')).toHaveLength(10);
    vi.advanceTimersByTime(50_000);
    expect(shareOf()).toEqual([1, 0.5]);
    vi.advanceTimersByTime(50_000);
    expect(shareOf()).toEqual([1, 1]);
    next.stop('for good');
  });
});

describe('a server that an operator sets', () => {
  const tunnel = (closes: string[]) => ({
    close: (code: number, reason: string) => void closes.push(`${code} ${reason}`),
  });
  const picked = (pool: Pool) => [...new Set(Array.from({ length: 20 }, () => pool.pick(null)?.url))].sort();

  it.each(['drain', 'down'] as const)('to %s gets nothing new, and closes its tunnels with 1012', (set) => {
    const { pool } = makePool({ close_rate: 1 });
    const closes: string[] = [];
    for (let i = 0; i < 3; i++) pool.take(pool.serverAt('ws://a:1')!).carry(tunnel(closes));
    expect(pool.set('ws://a:1', set)).toBe(3);
    expect(picked(pool)).toEqual(['ws://b:1', 'ws://c:1']);
    expect(closes).toEqual(Array(set === 'down' ? 3 : 1).fill(`1012 server_${set}`));
    // A handshake that was under way meanwhile.
    pool.take(pool.serverAt('ws://a:1')!).carry(tunnel(closes));
    expect(closes).toHaveLength(set === 'down' ? 4 : 2);
    expect(pool.set('ws://a:1', 'up')).toBe(0);
    expect(picked(pool)).toEqual(['ws://a:1', 'ws://b:1', 'ws://c:1']);
    pool.stop('for good');
  });

  it('stays so in the pools of later configs, in one that does not have it too, and is not of another upstream', () => {
    const overrides = new ServerOverrides();
    const first = makePool({}, null, [], overrides).pool;
    first.set('ws://a:1', 'drain');
    const second = makePool({ servers: ['ws://b:1', 'ws://c:1'] }, first, [], overrides).pool;
    second.start(first);
    const third = makePool({}, second, [], overrides).pool;
    third.start(second);
    expect(picked(third)).toEqual(['ws://b:1', 'ws://c:1']);
    expect(overrides.all()).toMatchObject([{ upstream: 'chat', server: 'ws://a:1', state: 'drain' }]);
    expect(overrides.stateOf('other', 'ws://a:1')).toBe('up');
    third.set('ws://a:1', 'up');
    expect(overrides.all()).toEqual([]);
  });

  it('does not come back because its check passes', () => {
    const { pool } = makePool({ health: { on_down: 'close' } });
    pool.set('ws://a:1', 'drain');
    const server = pool.serverAt('ws://a:1')!;
    for (let i = 0; i < 5; i++) pool.take(server).reportOutcome('failed');
    expect(picked(pool)).toEqual(['ws://b:1', 'ws://c:1']);
  });

  it('is no server of the upstream: null', () => {
    expect(makePool({}).pool.set('ws://nobody:1', 'down')).toBeNull();
  });

  it('to drain leaves nobody where it is the only one', () => {
    const { pool } = makePool({ servers: ['ws://a:1'] });
    pool.set('ws://a:1', 'drain');
    expect(pool.pick(null)).toBeNull();
  });

  it('is not counted among those that ejections leave', () => {
    const { pool } = makePool({ health: { floor: '50%', passive: { failures: 1 } } });
    pool.set('ws://a:1', 'drain');
    pool.set('ws://b:1', 'drain');
    pool.take(pool.serverAt('ws://c:1')!).reportOutcome('failed');
    // The only one left stays in use.
    expect(picked(pool)).toEqual(['ws://c:1']);
  });
});

it('a server of weight 0 gets nothing but clients that a cookie keeps with it', () => {
  const { pool } = makePool({ servers: [{ url: 'ws://a:1', weight: 0 }, 'ws://b:1'], sticky: {} });
  expect(hostsOf(pool, 10)).toBe('b'.repeat(10));
  const [, given = ''] = pool.sticky!.fieldsFor(pool.serverAt('ws://a:1')!, asking());
  const fields = ['Cookie', given.split(';')[0]!];
  expect(pool.pick(asking({ fields }))?.host).toBe('a');
  pool.set('ws://a:1', 'drain');
  expect(pool.pick(asking({ fields }))?.host).toBe('b');
});
