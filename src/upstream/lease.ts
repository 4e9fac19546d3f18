// A server taken for one request or session: the lease reports the outcome, and is released at the end.
import type { SlotHandle } from '../base/slot-set.ts';
import { CLOSE_TIMEOUT_MS } from '../handshake/closing.ts';
import { RESTART, takenOut } from './gradual-close.ts';
import type { Outcome } from './health/breaker.ts';
import type { Movable, Server } from './server.ts';

/** The outcome for a server's health that follows from the status of its answer. */
export function outcomeOf(status: number, retryAfter: boolean): Outcome {
  if (status === 502 || status === 504) return 'failed';
  if (status === 503) return retryAfter ? 'error' : 'failed';
  return status >= 500 ? 'error' : 'ok';
}

/** Whether a retry on another server may succeed (RFC 9110 §15.6): this server has not acted on the request. */
export function isRetryableStatus(status: number, retryAfter: boolean): boolean {
  return outcomeOf(status, retryAfter) === 'failed';
}

/** Receives the outcomes of requests and updates the health of their servers. */
export interface OutcomeSink {
  record(server: Server, outcome: Outcome): void;
  recordTrial(server: Server, outcome: Outcome): void;
}

export class Lease {
  readonly server: Server;
  readonly #outcomeSink: OutcomeSink;
  /** Whether it is the one request that tries an ejected server. */
  #trial: boolean;
  #handle: SlotHandle<Movable> | null = null;
  #reported = false;
  #held = true;

  /** Counts one more on the server. */
  constructor(server: Server, outcomeSink: OutcomeSink) {
    this.server = server;
    this.#outcomeSink = outcomeSink;
    this.#trial = server.state.breaker.begin();
    server.state.live++;
  }

  /** Reports how the request ended for the server; the first call counts. Not called for a client that left. */
  reportOutcome(outcome: Outcome): void {
    if (this.#reported) return;
    this.#reported = true;
    if (this.#trial) this.#outcomeSink.recordTrial(this.server, outcome);
    else this.#outcomeSink.record(this.server, outcome);
    this.#trial = false;
  }

  /** From now on the session is closed if its server is taken out. */
  carry(tunnel: Movable): void {
    if (!this.#held) return;
    const { state } = this.server;
    this.#handle = state.tunnels.add(tunnel);
    // The server was taken out during the handshake.
    if (state.set !== 'up') tunnel.close(RESTART, takenOut(state.set), CLOSE_TIMEOUT_MS);
  }

  /** Releases the lease; further calls do nothing. */
  release(): void {
    if (!this.#held) return;
    this.#held = false;
    if (this.#trial) this.server.state.breaker.endTrial(null);
    this.server.state.live--;
    if (this.#handle !== null) this.server.state.tunnels.remove(this.#handle);
  }
}
