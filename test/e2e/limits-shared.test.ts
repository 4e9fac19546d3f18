// Rates that several gateways share through a real Redis, as processes: what comes in over all of them keeps to the limit, Redis
// may be killed, frozen and come back, and nobody waits for it.
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { GatewayEvent } from '../../src/events.ts';
import { createLimiter } from '../../src/limits/limiter.ts';
import { openSharedRates } from '../../src/limits/redis-rates.ts';
import { blockThread } from '../support/block-thread.ts';
import { openClient, Refusal } from '../support/client.ts';
import { type Gateway, type GatewayFile, startGateway } from '../support/gateway.ts';
import { hasPeers } from '../support/peers.ts';
import { type Redis, startRedis } from '../support/redis.ts';

/** Opens one and ends it; the status. */
async function knock(gateway: Gateway, route: string, from = '192.0.2.1'): Promise<number> {
  const headers = { 'X-Forwarded-For': from };
  const outcome = await openClient(`ws://127.0.0.1:${gateway.port}/${route}`, { headers }).catch(
    (error: unknown) => error,
  );
  if (outcome instanceof Refusal) return outcome.status;
  if (outcome instanceof Error) throw outcome;
  (outcome as { socket: { terminate(): void } }).socket.terminate();
  return 101;
}

const knockMany = (gateways: readonly Gateway[], count: number, route: string, from?: string) =>
  Promise.all(Array.from({ length: count }, (_, n) => knock(gateways[n % gateways.length]!, route, from)));
const entered = (statuses: readonly number[]) => statuses.filter((status) => status === 101).length;

/** Waits until `true` is what it says; asks again as fast as it answers. */
async function until(what: () => Promise<boolean>): Promise<void> {
  while (!(await what()));
}

const shared = (gateway: Gateway) => gateway.metric('shared_limits_up', { store: 'redis' });

const slow = (burst: number) => ({ rate: 0.001, burst });

/** A route for each case, since what a case has used up is used up. */
const LIMITS = {
  all: { handshakes_per_second: slow(10) },
  address: { handshakes_per_second_per_ip: slow(10) },
  steady: { handshakes_per_second: { rate: 20, burst: 5 } },
  both: { handshakes_per_second: slow(4), handshakes_per_second_per_ip: slow(1) },
  killed: { handshakes_per_second: slow(10) },
  after: { handshakes_per_second: slow(5) },
  frozen: { handshakes_per_second: slow(1000) },
};

const configOf = (shared: string, config: Partial<GatewayFile> = {}): GatewayFile => ({
  listeners: [{ host: '127.0.0.1', port: 0 }],
  trusted_proxies: ['127.0.0.1'],
  limits: { shared },
  routes: Object.entries(LIMITS).map(([name, limits]) => ({
    name,
    match: { path: `/${name}` },
    websocket: { mode: 'terminate', handler: 'echo', origins: 'any', limits },
  })),
  ...config,
});

async function startTwo(config: GatewayFile): Promise<Gateway[]> {
  const gateways = [await startGateway(config), await startGateway(config)];
  await Promise.all(gateways.map((gateway) => gateway.log({ msg: 'the shared limits are there' })));
  return gateways;
}

describe.skipIf(!hasPeers('redis-server'))('limits.shared', () => {
  let redis: Redis;
  let gateways: Gateway[] = [];
  beforeAll(async () => {
    redis = await startRedis();
    gateways = await startTwo(configOf(redis.url));
  });
  afterAll(async () => {
    await Promise.all(gateways.map((gateway) => gateway.stop('SIGKILL')));
    await redis?.stop();
  });

  /** What a starved Redis once did must not reach into the next test. */
  beforeEach(async () => {
    for (const gateway of gateways) await until(async () => (await shared(gateway)) === 1);
  });

  it.each(['all', 'address'])('a rate of %s holds over both gateways', async (route) => {
    const statuses = await knockMany(gateways, 60, route);
    expect(entered(statuses)).toBe(10);
    expect(new Set(statuses)).toEqual(new Set([101, 429]));
    expect(await gateways[0]!.admin('/readyz')).toEqual({ status: 200, text: 'ok\n' });
  });

  it('is never more than the burst and what has come in since', async () => {
    const from = performance.now();
    let count = 0;
    while (performance.now() - from < 2000) count += entered(await knockMany(gateways, 10, 'steady'));
    const most = 5 + (20 * (performance.now() - from)) / 1000;
    for (const gateway of gateways) expect(await shared(gateway)).toBe(1);
    expect(count).toBeLessThanOrEqual(most);
    // And not much less: what others had refused is given back.
    expect(count).toBeGreaterThan(most / 3);
  });

  it('takes nothing of a limit where another one refuses', async () => {
    for (const gateway of gateways) await knockMany([gateway], 20, 'both', '192.0.2.1');
    const others = [];
    for (const last of [2, 3, 4, 5]) others.push(await knock(gateways[last % 2]!, 'both', `192.0.2.${last}`));
    expect(others).toEqual([101, 101, 101, 429]);
  });

  it('goes on by itself while Redis is away, and together again when it is back', async () => {
    expect(entered(await knockMany(gateways, 6, 'killed'))).toBe(6);
    await redis.kill();
    for (const gateway of gateways) {
      await until(async () => (await shared(gateway)) === 0);
      await gateway.log({ msg: 'the shared limits are away; this gateway limits by itself' });
    }
    const { status, text } = await gateways[0]!.admin('/readyz');
    expect([status, text]).toEqual([200, expect.stringMatching(/^degraded: the shared limits are away \(.+\)/)]);
    // Each has let in three of its own.
    expect(entered(await knockMany(gateways.slice(0, 1), 20, 'killed'))).toBe(7);
    expect(entered(await knockMany(gateways.slice(1), 20, 'killed'))).toBe(7);
    await redis.restart();
    for (const gateway of gateways) await until(async () => (await shared(gateway)) === 1);
    expect(await gateways[0]!.admin('/readyz')).toEqual({ status: 200, text: 'ok\n' });
    expect(entered(await knockMany(gateways, 20, 'killed'))).toBe(0);
    expect(entered(await knockMany(gateways, 30, 'after'))).toBe(5);
  });

  it('does not wait for a Redis that is frozen', async () => {
    await knockMany(gateways, 4, 'frozen');
    redis.signal('SIGSTOP');
    try {
      const longest = await Promise.all(
        gateways.map(async (gateway) => {
          let most = 0;
          for (let i = 0; i < 30; i++) {
            const from = performance.now();
            expect(await knock(gateway, 'frozen')).toBe(101);
            most = Math.max(most, performance.now() - from);
          }
          return most;
        }),
      );
      // 150 ms is what a handshake waits; the rest is this machine's own.
      expect(Math.max(...longest)).toBeLessThan(10_000);
      for (const gateway of gateways) expect(await shared(gateway)).toBe(0);
    } finally {
      redis.signal('SIGCONT');
    }
    for (const gateway of gateways) await until(async () => (await shared(gateway)) === 1);
  });
});

describe.skipIf(!hasPeers('redis-server'))('a gateway that is busy for longer than it waits for Redis', () => {
  it('does not take Redis for silent', async () => {
    const redis = await startRedis();
    onTestFinished(() => redis.stop());
    const events: GatewayEvent[] = [];
    const rates = await openSharedRates({ broker: 'memory', limits: { shared: redis.url } }, (event) =>
      events.push(event),
    );
    onTestFinished(() => rates!.close());
    rates!.start();
    await expect.poll(() => rates!.up).toBe(true);
    const asks = [{ limiter: createLimiter('busy', { rate: 1, burst: 10 }, 'all'), client: '' }];
    const taken = rates!.take(asks);
    blockThread(400);
    expect(await taken).toBe('taken');
    expect(rates!.up).toBe(true);
    expect(events).toEqual([{ type: 'notice', level: 'info', message: 'the shared limits are there' }]);
  });
});

describe.skipIf(!hasPeers('redis-server'))('limits.shared: redis', () => {
  it('is the broker’s', async () => {
    const redis = await startRedis();
    onTestFinished(() => redis.stop());
    const gateways = await startTwo(configOf('redis', { broker: redis.url }));
    for (const gateway of gateways) onTestFinished(async () => void (await gateway.stop('SIGKILL')));
    expect(entered(await knockMany(gateways, 12, 'after'))).toBe(5);
  });
});

describe('a Redis that was never there', () => {
  it('is no reason not to start: the gateway limits by itself', async () => {
    const gateway = await startGateway(configOf('redis://127.0.0.1:1'));
    expect(entered(await knockMany([gateway], 10, 'after'))).toBe(5);
    await gateway.stop('SIGKILL');
  });
});
