// Rates that several gateways share through a Redis: the same buckets as here, in Redis, by a script in
// rate-limiter-flexible. Both packages are loaded only where a config shares its limits. While Redis is unavailable or
// slow, every gateway limits by its own buckets.

import type { RateLimiterRedis } from 'rate-limiter-flexible';
import { guarded, ignore } from '../base/guard.ts';
import { Reconnect } from '../base/reconnect.ts';
import { startResponseTimeout } from '../base/response-timeout.ts';
import type { Config } from '../config/schema/schema.ts';
import { systemCode } from '../errors.ts';
import type { Emit, Sample, Sampler } from '../events.ts';
import {
  CONNECT_MS,
  createRedisClient,
  destroyRedisClient,
  importRedis,
  type Redis,
  type RedisClient,
} from '../net/redis-client.ts';
import type { Limiter } from './limiter.ts';
import type { RateRequest, RateWait, SharedRates } from './rates.ts';

/** Milliseconds that a handshake waits for Redis at most. */
const ANSWER_MS = 150;
/** Milliseconds between two health checks of Redis while no other command is sent. */
const HEARTBEAT_MS = 1000;

/**
 * In place of the library's fixed window, which admits twice as much around its edge: the bucket of
 * base/token-bucket.ts, by Redis's clock. KEYS[1] holds when it will be full, in microseconds. ARGV: tokens to take
 * (or, below 0, to give back), -, burst, microseconds to fill a whole bucket. It answers, in the library's form, what
 * counts as consumed (more than the burst is a refusal) and milliseconds to wait.
 */
const SCRIPT = `
local time = redis.call('time')
local now = time[1] * 1000000 + time[2]
local amount, burst = tonumber(ARGV[1]), tonumber(ARGV[3])
local each = tonumber(ARGV[4]) / burst
local full = math.max(now, tonumber(redis.call('get', KEYS[1]) or '0')) + amount * each
local wait = full - now - burst * each
if amount > 0 and wait > 0.5 then return {burst + 1, math.ceil(wait / 1000)} end
if full <= now then redis.call('del', KEYS[1])
else redis.call('set', KEYS[1], string.format('%.0f', full), 'px', math.ceil((full - now) / 1000)) end
return {0, 0}
`;

export interface RedisRatesOptions {
  readonly url: string;
  readonly emit: Emit;
}

/** Where rates are counted, as the config sets it. */
type Where = Pick<Config, 'broker'> & { readonly limits: Pick<Config['limits'], 'shared'> };

/** The URL of the Redis that rates are shared through; null where they are not. */
export function sharedUrl({ broker, limits: { shared } }: Where): string | null {
  if (shared === 'memory') return null;
  return shared === 'redis' ? broker : shared;
}

/** A connection while it lives, and the library's limiters that use it. */
interface RedisConnection {
  readonly client: RedisClient;
  readonly limiters: WeakMap<Limiter, RateLimiterRedis>;
}

/** Both libraries. */
interface Libraries {
  readonly redis: Redis;
  readonly limits: typeof import('rate-limiter-flexible');
}

/**
 * Null where nothing is shared. It begins with start(). Where a package is not installed, rejects with a message for
 * the operator.
 */
export async function openSharedRates(where: Where, emit: Emit): Promise<RedisRates | null> {
  const url = sharedUrl(where);
  return url === null ? null : load({ url, emit });
}

async function load(options: RedisRatesOptions): Promise<RedisRates> {
  try {
    const [redis, limits] = await Promise.all([importRedis(), import('rate-limiter-flexible')]);
    return new RedisRates({ redis, limits }, options);
  } catch (error) {
    const message =
      'limits: sharing them needs the npm packages "redis" and "rate-limiter-flexible" (npm install redis rate-limiter-flexible)';
    throw new Error(message, { cause: error });
  }
}

export class RedisRates implements SharedRates, Sampler {
  readonly #libraries: Libraries;
  readonly #options: RedisRatesOptions;
  #connection: RedisConnection | null = null;
  #down: string | null = 'not connected yet';
  /** The operator has been notified of the outage that lasts now. */
  #reported = false;
  #heartbeatTimer: NodeJS.Timeout | undefined;
  readonly #reconnect = new Reconnect('redis', () => this.#open());

  constructor(libraries: Libraries, options: RedisRatesOptions) {
    this.#libraries = libraries;
    this.#options = options;
  }

  get up(): boolean {
    return this.#down === null;
  }

  /** What is wrong, for the gateway's status; null where all works. */
  degraded(): string | null {
    return this.#down === null ? null : `the shared limits are away (${this.#down})`;
  }

  *sample(): Iterable<Sample> {
    yield { metric: 'shared_limits_up', labels: { store: 'redis' }, value: this.up ? 1 : 0 };
  }

  start(): void {
    this.#reconnect.start();
  }

  close(): void {
    this.#reconnect.close();
    clearTimeout(this.#heartbeatTimer);
    const connection = this.#connection;
    this.#connection = null;
    if (connection !== null) destroyRedisClient(connection.client);
  }

  async take(requests: readonly RateRequest[]): Promise<RateWait | 'taken' | 'unknown'> {
    const connection = this.#connection;
    if (connection === null || !this.up) return 'unknown';
    try {
      return await this.#answered(connection, this.#takeEach(connection, requests));
    } catch {
      return 'unknown';
    }
  }

  async #takeEach(connection: RedisConnection, requests: readonly RateRequest[]): Promise<RateWait | 'taken'> {
    for (const [i, request] of requests.entries()) {
      const waitMs = await this.#consume(connection, request);
      if (waitMs === 0) continue;
      const taken = requests.slice(0, i);
      // Not awaited: tokens that are lost here come back by themselves.
      for (const one of taken) this.#limiterOf(connection, one.limiter).reward(one.client, 1).catch(ignore);
      return { request, waitMs };
    }
    return 'taken';
  }

  /** 0 where a token was taken, else milliseconds to wait. */
  async #consume(connection: RedisConnection, { limiter, client }: RateRequest): Promise<number> {
    try {
      await this.#limiterOf(connection, limiter).consume(client, 1);
      return 0;
    } catch (refused) {
      if (refused instanceof this.#libraries.limits.RateLimiterRes) return Math.max(1, refused.msBeforeNext);
      // Redis itself may refuse, such as for want of memory: then it counts as unavailable.
      this.#lost(connection, reasonOf(refused));
      throw refused;
    }
  }

  #limiterOf({ client, limiters }: RedisConnection, limiter: Limiter): RateLimiterRedis {
    const known = limiters.get(limiter);
    if (known !== undefined) return known;
    const { rate, burst } = limiter.rate;
    const fresh = new this.#libraries.limits.RateLimiterRedis({
      storeClient: client,
      useRedisPackage: true,
      customIncrTtlLuaScript: SCRIPT,
      keyPrefix: `upgate:rate:${limiter.id}`,
      points: burst,
      duration: (burst / rate) * 1_000_000,
    });
    limiters.set(limiter, fresh);
    return fresh;
  }

  async #open(): Promise<void> {
    const client = createRedisClient(this.#libraries.redis, this.#options.url);
    const connection: RedisConnection = { client, limiters: new WeakMap() };
    this.#connection = connection;
    const lost = guarded('redis', (reason: string) => this.#lost(connection, reason));
    client.on('error', (error: Error) => lost(reasonOf(error)));
    client.on('end', () => lost('the connection ended'));
    try {
      await this.#answered(connection, client.connect(), CONNECT_MS);
      await this.#heartbeat(connection);
    } catch (error) {
      this.#lost(connection, reasonOf(error));
    }
  }

  /** Checks whether Redis answers, now and from time to time. Rejects where it does not. */
  async #heartbeat(connection: RedisConnection): Promise<void> {
    await this.#answered(connection, connection.client.ping());
    if (connection !== this.#connection) return;
    this.#reconnect.succeeded();
    this.#reported = false;
    if (this.#down !== null) {
      this.#down = null;
      this.#options.emit({ type: 'notice', level: 'info', message: 'the shared limits are there' });
    }
    const again = guarded('redis', () =>
      this.#heartbeat(connection).catch((error: unknown) => this.#lost(connection, reasonOf(error))),
    );
    this.#heartbeatTimer = setTimeout(again, HEARTBEAT_MS).unref();
  }

  /** Resolves with the reply, unless Redis times out: then the connection is closed, so that no other command waits. */
  async #answered<T>(connection: RedisConnection, answer: Promise<T>, maxMs = ANSWER_MS): Promise<T> {
    let stopTimeout = ignore;
    const silence = new Promise<never>((_, reject) => {
      stopTimeout = startResponseTimeout(maxMs, () => {
        reject(new Error('Redis does not answer'));
        this.#lost(connection, 'Redis does not answer');
      });
    });
    try {
      return await Promise.race([answer, silence]);
    } finally {
      stopTimeout();
      answer.catch(ignore);
    }
  }

  /** Closes the connection and opens the next one after a backoff. */
  #lost(connection: RedisConnection, reason: string): void {
    if (this.#connection !== connection) return;
    this.#connection = null;
    clearTimeout(this.#heartbeatTimer);
    destroyRedisClient(connection.client);
    this.#down = reason;
    if (!this.#reported) {
      const message = 'the shared limits are away; this gateway limits by itself';
      this.#options.emit({ type: 'notice', level: 'error', message, data: { reason } });
    }
    this.#reported = true;
    this.#reconnect.retry();
  }
}

function reasonOf(error: unknown): string {
  return systemCode(error) ?? (error instanceof Error ? error.message : String(error));
}
