// Closing tunnels at a pace: those of a server that is down, has left or is drained, so that its clients come back little by little
// and not all at once. One timer, and none while there is nothing to close.

import { guarded } from '../base/guard.ts';
import { CLOSE_TIMEOUT_MS } from '../handshake/closing.ts';
import type { Movable, ServerState } from './server.ts';
import type { SetState } from './server-overrides.ts';

/** Service Restart (IANA's registry for RFC 6455 §11.7): come back, and be sent elsewhere. */
export const RESTART = 1012;
const TICK_MS = 100;

/** What a Close says of a server that an operator took out. */
export function takenOut(set: SetState): string {
  return `server_${set}`;
}

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

  /** Closes all that the server carries, now. */
  closeAll(state: ServerState, reason: string): void {
    this.cancel(state);
    for (const tunnel of state.tunnels) this.#close(tunnel, reason);
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
      this.#credit--;
      this.#close(tunnel, job.reason);
    }
    // All of it was asked to close; what comes later is another job's.
    this.cancel(job.state);
  }

  #close(tunnel: Movable, reason: string): void {
    if (this.#closing.has(tunnel)) return;
    this.#closing.add(tunnel);
    tunnel.close(RESTART, reason, CLOSE_TIMEOUT_MS);
  }
}
