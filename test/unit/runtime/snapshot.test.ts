// One config made ready to serve, and what the next one takes over from it: the pools of upstreams that stayed the same,
// with their counts. And that it lets go of the one before it.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { schema } from '../../../src/config/schema/schema.ts';
import { HttpEngines } from '../../../src/proxy/http-engines.ts';
import { openInternalClient } from '../../../src/proxy/internal-client.ts';
import { compileTable } from '../../../src/routing/table.ts';
import {
  buildSnapshot,
  preparePools,
  type SharedServices,
  type Snapshot,
  startPools,
} from '../../../src/runtime/snapshot.ts';
import { Registry } from '../../../src/sessions/registry.ts';
import { NameCache } from '../../../src/upstream/name-cache.ts';
import { ServerOverrides } from '../../../src/upstream/server-overrides.ts';
import { MemoryBroker } from '../../../src/websocket/broker/memory.ts';
import { Terminator } from '../../../src/websocket/connection/accept.ts';
import { Connections } from '../../../src/websocket/connections.ts';
import { PendingDeliveries } from '../../../src/websocket/webhook/webhook-backend.ts';
import { asking } from '../../support/balancer-request.ts';

const emit = () => {};
const terminator = new Terminator(emit, new Connections());
const shared: SharedServices = {
  emit,
  sessions: new Registry(),
  http: new HttpEngines(),
  terminator,
  broker: new MemoryBroker({ reach: () => undefined, revoke: () => 0 }, terminator.budgets.history),
  connections: new Connections(),
  caller: openInternalClient(),
  deliveries: new PendingDeliveries(),
  stickySecret: 'for tests only',
  lookup: new NameCache().lookup,
  overrides: new ServerOverrides(),
};

const SOURCE = { file: 'gateway.yaml', hash: '', loadedAt: 0, positions: new Map() };

function snapshot(change: object = {}, previous: Snapshot | null = null): Snapshot {
  const config = schema.parse({
    listeners: [{ port: 0 }],
    trusted_proxies: ['10.0.0.0/8'],
    upstreams: {
      chat: { servers: ['ws://127.0.0.1:9001', 'ws://127.0.0.1:9002'], balance: 'least_connections' },
      rest: { servers: ['http://127.0.0.1:9003'] },
    },
    routes: [
      { name: 'echo', match: { path: '/echo' }, websocket: { mode: 'terminate', handler: 'echo' } },
      { name: 'chat', websocket: { mode: 'splice', upstream: 'chat' }, http: { upstream: 'rest' } },
    ],
    ...change,
  });
  const { table } = compileTable(config);
  return buildSnapshot({ config, table, tls: [null], backendTls: new Map(), source: SOURCE }, shared, previous);
}

describe('a snapshot', () => {
  it('has a pool for every upstream, and an acceptor for every route that terminates', () => {
    const { services, pools } = snapshot();
    expect([...pools.keys()]).toEqual(['chat', 'rest']);
    expect(services.pool('chat').servers.map(({ url }) => url)).toEqual(['ws://127.0.0.1:9001', 'ws://127.0.0.1:9002']);
    expect(services.acceptor('echo')).toHaveProperty('accept');
    expect(services.sessions).toBe(shared.sessions);
    expect(services.http.name).toBe('http1');
  });

  it('is asked for no name that its config does not have', () => {
    const { services } = snapshot();
    expect(() => services.pool('none')).toThrow('the config names none, which it does not have');
    expect(() => services.acceptor('chat')).toThrow('chat');
  });

  it('trusts the proxies of its config', () => {
    const { trusted } = snapshot();
    expect(trusted.has('10.1.2.3')).toBe(true);
    expect(trusted.has('192.0.2.1')).toBe(false);
  });
});

describe('the next snapshot', () => {
  it('keeps nothing of the one before it in memory, but the pools that stayed the same', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const rest = { servers: ['http://127.0.0.1:9003'] };
    let current = snapshot();
    const stayed = current.pools.get('rest');
    const left: WeakRef<object>[] = [];
    for (const balance of ['round_robin', 'random_two', 'least_connections']) {
      left.push(new WeakRef(current.services), new WeakRef(current.authenticators), new WeakRef(current.table));
      left.push(new WeakRef(current.services.pool('chat')), new WeakRef(current.services.acceptor('echo')));
      const chat = { servers: ['ws://127.0.0.1:9001'], balance, rebalance: {}, health: { on_down: 'close' } };
      const next = await preparePools(snapshot({ upstreams: { chat, rest } }, current), current);
      startPools(next, current);
      current = next;
    }
    // A WeakRef holds its target to the end of the turn.
    await new Promise(setImmediate);
    collect();
    const kept = left.filter((ref) => ref.deref() !== undefined);
    startPools(snapshot({ upstreams: { rest }, routes: [{ name: 'r', http: { upstream: 'rest' } }] }), current);
    expect(kept).toEqual([]);
    expect(current.pools.get('rest')).toBe(stayed);
  });

  it('takes over a pool that stayed the same, with what its servers carry', () => {
    const first = snapshot();
    const [busy] = first.services.pool('chat').servers;
    const lease = first.services.pool('chat').take(busy!);
    const next = snapshot({ trusted_proxies: [] }, first);
    expect(next.services.pool('chat')).toBe(first.services.pool('chat'));
    expect(next.services.pool('chat').pick(asking())?.url).toBe('ws://127.0.0.1:9002');
    lease.release();
    expect(next.services.pool('chat').servers[0]?.live).toBe(0);
  });

  it.each([
    ['another server', { servers: ['ws://127.0.0.1:9001', 'ws://127.0.0.1:9009'], balance: 'least_connections' }],
    ['another order', { servers: ['ws://127.0.0.1:9002', 'ws://127.0.0.1:9001'], balance: 'least_connections' }],
    ['another balance', { servers: ['ws://127.0.0.1:9001', 'ws://127.0.0.1:9002'], balance: 'round_robin' }],
  ])('builds a pool anew for %s, and leaves the others', (_, chat) => {
    const first = snapshot();
    const next = snapshot({ upstreams: { chat, rest: { servers: ['http://127.0.0.1:9003'] } } }, first);
    expect(next.services.pool('chat')).not.toBe(first.services.pool('chat'));
    expect(next.services.pool('rest')).toBe(first.services.pool('rest'));
  });

  it('of a pool that is built anew goes on counting on the servers that stay', () => {
    const first = snapshot();
    const before = first.services.pool('chat');
    const leases = Array.from({ length: 4 }, () => before.take(before.pick(asking())!));
    const chat = { servers: ['ws://127.0.0.1:9002', 'ws://127.0.0.1:9009'], balance: 'least_connections' };
    const next = snapshot({ upstreams: { chat, rest: { servers: ['http://127.0.0.1:9003'] } } }, first);
    const pool = next.services.pool('chat');
    expect(pool.servers.map(({ live }) => live)).toEqual([2, 0]);
    const more = Array.from({ length: 3 }, () => pool.take(pool.pick(asking())!).server.url);
    expect(more).toEqual(['ws://127.0.0.1:9009', 'ws://127.0.0.1:9009', expect.anything()]);
    for (const lease of leases) lease.release();
    expect(pool.servers.reduce((sum, { live }) => sum + live, 0)).toBe(3);
  });

  it('leaves the one before it as it was', () => {
    const first = snapshot();
    const routes = [{ name: 'only', http: { upstream: 'rest' } }];
    const next = snapshot({ upstreams: { rest: { servers: ['http://127.0.0.1:9003'] } }, routes }, first);
    expect([...next.pools.keys()]).toEqual(['rest']);
    expect(first.services.pool('chat').pick(asking())).not.toBeNull();
    expect(first.services.acceptor('echo')).toHaveProperty('accept');
    expect(() => next.services.acceptor('echo')).toThrow('echo');
  });

  it('has the HTTP engine that its config names, the same one as long as it does', () => {
    const first = snapshot();
    expect(first.services.http.name).toBe('http1');
    expect(snapshot({ http: { engine: 'http-proxy' } }, first).services.http.name).toBe('http-proxy');
    expect(snapshot({ http: { engine: 'auto' } }, first).services.http).toBe(first.services.http);
  });
});
