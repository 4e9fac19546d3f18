// Why a client is not read from: while there is any reason, its socket is paused, and the time that it has to answer a
// ping stands still.
import type { Keepalive } from './keepalive.ts';
import type { WsSocket } from './ws-socket.ts';

/** `owed`: its send queue is not empty yet. `handler`: the handler does not want more. */
type PauseReason = 'owed' | 'handler';

export class ReadPause {
  readonly #ws: WsSocket;
  readonly #keepalive: Keepalive;
  readonly #reasons: Record<PauseReason, boolean> = { owed: false, handler: false };

  constructor(ws: WsSocket, keepalive: Keepalive) {
    this.#ws = ws;
    this.#keepalive = keepalive;
  }

  get #paused(): boolean {
    return this.#reasons.owed || this.#reasons.handler;
  }

  add(reason: PauseReason): void {
    const before = this.#paused;
    this.#reasons[reason] = true;
    if (before) return;
    this.#keepalive.hold();
    this.#ws.pause();
  }

  /** `now` in milliseconds. */
  remove(reason: PauseReason, now: number): void {
    const before = this.#paused;
    this.#reasons[reason] = false;
    if (!before || this.#paused) return;
    this.#keepalive.release(now);
    this.#ws.resume();
  }

  /** What the client still sends is read, whatever the reasons to pause. */
  end(now: number): void {
    this.remove('owed', now);
    this.remove('handler', now);
  }
}
