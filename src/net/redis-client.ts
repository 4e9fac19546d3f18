// A client of Redis as the gateway uses it. The package is loaded only where a config names a Redis.
import { ignore } from '../base/guard.ts';

export type Redis = typeof import('redis');
export type RedisClient = ReturnType<Redis['createClient']>;

/** What a connection to Redis may take to stand, in milliseconds. */
export const CONNECT_MS = 3000;

/** Loads the package; rejects where it is not there. */
export function importRedis(): Promise<Redis> {
  return import('redis');
}

/** One that is not connected yet, and never connects again by itself: that would lose what was published meanwhile. */
export function createRedisClient(library: Pick<Redis, 'createClient'>, url: string): RedisClient {
  return library.createClient({
    url,
    disableOfflineQueue: true,
    maintNotifications: 'disabled',
    socket: { connectTimeout: CONNECT_MS, reconnectStrategy: false },
  }) as RedisClient;
}

/** Ends it at once. What is on its way fails; nobody else listens to it. */
export function destroyRedisClient(client: RedisClient): void {
  client.removeAllListeners();
  client.on('error', ignore);
  client.destroy();
}
