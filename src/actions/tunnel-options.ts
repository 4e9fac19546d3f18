// What a splice route's config says, in the relay's words. Not what becomes of a tunnel: that is splice.ts.
import type { SpliceConfig } from '../config/schema/schema.ts';

/** The options of a route's tunnels, as relay.ts has them; splice.ts alone knows the relay. */
export function tunnelOptions(route: string, { inspect, limits, timeouts, ping }: SpliceConfig) {
  const { max_message: maxMessage = null, messages_per_second = null, bytes_per_second = null, on_limit } = limits;
  const none = { messagesPerSecond: null, bytesPerSecond: null, onLimit: on_limit };
  const toClient = maxMessage === null ? null : { maxMessage, ...none };
  const rates = messages_per_second !== null || bytes_per_second !== null;
  // A rate is a client's: a backend that fans out to many is not slowed down by it.
  const fromClient = rates
    ? { maxMessage, messagesPerSecond: messages_per_second, bytesPerSecond: bytes_per_second, onLimit: on_limit }
    : toClient;
  return {
    route,
    idleMs: timeouts.idle,
    maxLifetimeMs: timeouts.max_lifetime ?? null,
    inspect: inspect === 'on',
    ping: ping === undefined ? null : { everyMs: ping.every, timeoutMs: ping.timeout },
    limits: { fromClient, toClient },
  };
}
