// A server taken for one request or session: the lease reports the outcome, and is released at the end.
import type { SlotHandle } from '../base/slot-set.ts';
import { CLOSE_TIMEOUT_MS } from '../handshake/closing.ts';
import { RESTART, takenOut } from './gradual-close.ts';
import type { Outcome } from './health/breaker.ts';
import type { Movable, Server } from './server.ts';

/** What an answer's status says of its server. */
export function outcomeOf(status: number, retryAfter: boolean): Outcome {
  if (status === 502 || status === 504) return 'failed';
  if (status === 503) return retryAfter ? 'error' : 'failed';
  return status >= 500 ? 'error' : 'ok';
}

/** An answer that means another server may do better (RFC 9110 §15.6): this one has not acted on the request. */
export function isRetryableStatus(status: number, retryAfter: boolean): boolean {
  return outcomeOf(status, retryAfter) === 'failed';
}

/** Receives the outcomes of requests, and decides what they mean for a server. */
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

  /** From now on this session is one that the server's going may end. */
  carry(tunnel: Movable): void {
    if (!this.#held) return;
    const { state } = this.server;
    this.#handle = state.tunnels.add(tunnel);
    // Its handshake was under way when the server was taken out.
    if (state.set !== 'up') tunnel.close(RESTART, takenOut(state.set), CLOSE_TIMEOUT_MS);
  }

  /** Counts it off; more calls than one do nothing. */
  release(): void {
    if (!this.#held) return;
    this.#held = false;
    if (this.#trial) this.server.state.breaker.endTrial(null);
    this.server.state.live--;
    if (this.#handle !== null) this.server.state.tunnels.remove(this.#handle);
  }
}
