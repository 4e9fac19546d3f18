// Names turned into servers by a real DNS exchange on loopback, and what a changed answer does.
import { afterEach, describe, expect, it } from 'vitest';
import type { Pool } from '../../../src/upstream/pool.ts';
import { startDns, type TestDns, type Zone } from '../../support/dns.ts';
import { makePool } from '../../support/pools.ts';

let dns: TestDns;
let pool: Pool;
afterEach(() => {
  pool.stop('for good');
  dns.close();
});

async function start(zone: Zone, more: object = {}, options: object = {}) {
  dns = await startDns(zone);
  const made = makePool({
    servers: ['ws://chat.test:9001'],
    dns: { resolvers: [dns.address], min_ttl: '20ms', ...options },
    ...more,
  });
  pool = made.pool;
  await pool.prepare();
  pool.start();
  return made.events;
}

const urls = () => pool.servers.map(({ url }) => url);
const until = (expected: string[]) => expect.poll(urls, { interval: 10 }).toEqual(expected);

describe('a name', () => {
  it('is a server for each of its addresses, both families, and the others stay what they are', async () => {
    await start(
      { 'chat.test': ['10.0.0.2', '10.0.0.1', 'fd00::1'] },
      { servers: ['wss://chat.test:9001', { url: 'ws://127.0.0.1:1', weight: 3 }, 'ws://late.test'] },
    );
    expect(urls()).toEqual(['wss://10.0.0.1:9001', 'wss://10.0.0.2:9001', 'wss://[fd00::1]:9001', 'ws://127.0.0.1:1']);
    expect(pool.servers.map(({ serverName, host, secure, weight }) => [serverName, host, secure, weight])).toEqual([
      ['chat.test', '10.0.0.1', true, 1],
      ['chat.test', '10.0.0.2', true, 1],
      ['chat.test', 'fd00::1', true, 1],
      [undefined, '127.0.0.1', false, 3],
    ]);
    dns.zone['late.test'] = ['10.0.0.9'];
    await until([
      'wss://10.0.0.1:9001',
      'wss://10.0.0.2:9001',
      'wss://[fd00::1]:9001',
      'ws://127.0.0.1:1',
      'ws://10.0.0.9',
    ]);
  });

  it('asks for one family where the config says so', async () => {
    await start({ 'chat.test': ['10.0.0.1', 'fd00::1'] }, {}, { family: 'ipv4' });
    expect(urls()).toEqual(['ws://10.0.0.1:9001']);
    expect(new Set(dns.asked)).toEqual(new Set(['A chat.test']));
  });

  it('is asked for again when its answer has run out, not before', async () => {
    const started = performance.now();
    // The TTL is a second, and cut to 300 ms.
    await start({ 'chat.test': ['10.0.0.1'] }, {}, { min_ttl: '20ms', max_ttl: '300ms', family: 'ipv4' });
    await expect.poll(() => dns.asked.length, { interval: 10 }).toBe(2);
    expect(performance.now() - started).toBeGreaterThan(250);
  });

  it('keeps its servers while DNS fails, and says so once', async () => {
    const events = await start({ 'chat.test': ['10.0.0.1'] });
    dns.zone['chat.test'] = 'none';
    await expect.poll(() => events.length).toBe(1);
    const asked = dns.asked.length;
    await expect.poll(() => dns.asked.length).toBeGreaterThan(asked + 4);
    expect(urls()).toEqual(['ws://10.0.0.1:9001']);
    expect(events).toEqual([
      {
        type: 'notice',
        level: 'warn',
        message: 'a name of an upstream is not resolved',
        data: { upstream: 'chat', name: 'chat.test', why: 'no address', kept: 1 },
      },
    ]);
    dns.zone['chat.test'] = ['10.0.0.1'];
    await expect.poll(() => events.length).toBe(2);
    expect(events[1]).toMatchObject({ level: 'info', message: 'a name of an upstream is resolved again' });
  });
});

describe('an address that leaves', () => {
  it('gets nothing more at once, its tunnels are closed, and those that stay keep what they carry', async () => {
    const events = await start({ 'chat.test': ['10.0.0.1', '10.0.0.2'] });
    const [stays, leaves] = pool.servers;
    const closes: unknown[] = [];
    pool.take(stays!);
    const lease = pool.take(leaves!);
    lease.carry({ close: (...args) => closes.push(args) });
    dns.zone['chat.test'] = ['10.0.0.1', '10.0.0.3'];
    await until(['ws://10.0.0.1:9001', 'ws://10.0.0.3:9001']);
    expect(closes).toEqual([[1012, 'server_left', 5000]]);
    expect(pool.servers.map(({ live }) => live)).toEqual([1, 0]);
    expect(events).toEqual([
      expect.objectContaining({ server: 'ws://10.0.0.2:9001', up: false, reason: 'left' }),
      expect.objectContaining({ server: 'ws://10.0.0.3:9001', up: true, reason: 'joined' }),
    ]);
    // Back before its tunnel has ended: it is the same server.
    dns.zone['chat.test'] = ['10.0.0.1', '10.0.0.2'];
    await until(['ws://10.0.0.1:9001', 'ws://10.0.0.2:9001']);
    expect(pool.servers.map(({ live }) => live)).toEqual([1, 1]);
  });

  it('keeps its tunnels where the config says so', async () => {
    const events = await start({ 'chat.test': ['10.0.0.1', '10.0.0.2'] }, {}, { on_leave: 'keep' });
    const closes: unknown[] = [];
    pool.take(pool.servers[1]!).carry({ close: (...args) => closes.push(args) });
    dns.zone['chat.test'] = ['10.0.0.1'];
    await until(['ws://10.0.0.1:9001']);
    expect([closes, events.length]).toEqual([[], 1]);
  });

  it('is known to the pool of the next config without asking', async () => {
    await start({ 'chat.test': ['10.0.0.1'] });
    dns.zone['chat.test'] = 'fail';
    const { pool: next } = makePool(
      { servers: ['ws://chat.test:9001'], dns: { resolvers: [dns.address] }, balance: 'random_two' },
      pool,
    );
    await next.prepare();
    expect(next.servers.map(({ url }) => url)).toEqual(['ws://10.0.0.1:9001']);
  });
});
