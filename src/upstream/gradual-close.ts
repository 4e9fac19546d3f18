// Closing tunnels at a pace: those of a server that is down or has left, so that its clients come back little by little
// and not all at once. One timer, and none while there is nothing to close.

import { guarded } from '../base/guard.ts';
import { CLOSE_TIMEOUT_MS } from '../handshake/closing.ts';
import type { Movable, ServerState } from './server.ts';

/** Service Restart (IANA's registry for RFC 6455 §11.7): come back, and be sent elsewhere. */
export const RESTART = 1012;
const TICK_MS = 100;

interface Job {
  readonly state: ServerState;
  readonly reason: string;
  readonly rate: number;
}

export class GradualClose {
  readonly #jobs = new Map<ServerState, Job>();
  readonly #closing = new WeakSet<Movable>();
  #timer: NodeJS.Timeout | undefined;
  /** Tunnels that may be closed now; grows with time. */
  #credit = 0;

  /** Closes what the server carries, `rate` a second; `reason` is what the Close says. */
  start(state: ServerState, reason: string, rate: number): void {
    if (state.tunnels.size === 0) return;
    this.#jobs.set(state, { state, reason, rate });
    if (this.#timer === undefined) {
      this.#credit = 1;
      this.#timer = setInterval(
        guarded('upstream', () => this.#tick()),
        TICK_MS,
      );
      this.#tick();
    }
  }

  /** The server is back: what it still carries stays. */
  cancel(state: ServerState): void {
    this.#jobs.delete(state);
    if (this.#jobs.size === 0) this.stop();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#jobs.clear();
  }

  #tick(): void {
    const [job] = this.#jobs.values();
    if (job === undefined) return;
    this.#credit += (job.rate * TICK_MS) / 1000;
    for (const tunnel of job.state.tunnels) {
      if (this.#credit < 1) return;
      if (this.#closing.has(tunnel)) continue;
      this.#closing.add(tunnel);
      this.#credit--;
      tunnel.close(RESTART, job.reason, CLOSE_TIMEOUT_MS);
    }
    // All of it was asked to close; what comes later is another job's.
    this.cancel(job.state);
  }
}
