// Answering a client's pings, bounded: a client that pings and does not read must not make the gateway queue pongs.
import type { WsSocket } from './ws-socket.ts';

/** Pongs on their way at a time; of further pings only the newest is answered (RFC 6455 §5.5.3). */
const MAX_PONGS = 16;

export class PongLimiter {
  readonly #ws: WsSocket;
  #underWay = 0;
  #unanswered: Buffer | undefined;

  constructor(ws: WsSocket) {
    this.#ws = ws;
  }

  answer(payload: Buffer): void {
    if (this.#underWay < MAX_PONGS) this.#send(payload);
    else this.#unanswered = Buffer.from(payload);
  }

  #send(payload: Buffer): void {
    this.#underWay++;
    this.#ws.pong(payload, false, () => {
      this.#underWay--;
      const newest = this.#unanswered;
      this.#unanswered = undefined;
      if (newest && this.#ws.readyState === this.#ws.OPEN) this.#send(newest);
    });
  }
}
