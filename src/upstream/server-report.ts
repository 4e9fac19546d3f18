// What a server is like at the moment, in words for an operator: whether it is healthy, whether it gets new traffic, and why not.
// Pure reading; what decides is pool.ts, by the same state.
import { isUp } from './health/health.ts';
import type { Server } from './server.ts';

export interface ServerReport {
  readonly healthy: boolean;
  /** Whether the next request may go to it. */
  readonly eligible: boolean;
  /** Why it is not healthy, or gets no new traffic; null: nothing is wrong. */
  readonly why: string | null;
}

/** `now` by performance.now(). */
export function reportServer(server: Server, now: number): ServerReport {
  const healthy = isUp(server);
  const held = heldBack(server, now);
  return {
    healthy,
    eligible: held === null,
    why: held ?? (healthy ? null : inUseAllTheSame(server)),
  };
}

/** Why it is not healthy although it gets traffic. */
function inUseAllTheSame({ state: { breaker } }: Server): string {
  return breaker.out
    ? 'ejected, for its traffic failed; its next request tries it'
    : 'fails, and is in use for want of others';
}

/** `outForMs`: until a request may try it; 0: one does. */
function ejected(outForMs: number): string {
  const next = outForMs > 0 ? `tried again in ${Math.ceil(outForMs / 1000)} s` : 'a request is trying it';
  return `ejected, for its traffic failed; ${next}`;
}

/** Why it gets no new traffic; null: it does. */
function heldBack(server: Server, now: number): string | null {
  const { state } = server;
  if (state.set !== 'up') return `set to ${state.set} through the admin API`;
  if (state.checked === false) return 'its health check fails';
  if (!state.breaker.open(now)) return ejected(state.breaker.outFor(now));
  if (server.weight === 0) return 'its weight is 0';
  if (!server.takes(null, now)) return 'it has max_connections';
  if (!server.takes('handshake', now)) return 'it has handshakes_per_second';
  if (!server.takes('plain', now)) return 'it has requests_per_second';
  return null;
}
