// Answering a client's pings, bounded: whoever pings and does not read must not make the gateway hoard pongs.
import type { WsSocket } from './ws-socket.ts';

/** Pongs on their way at a time; of further pings only the newest is answered (RFC 6455 §5.5.3). */
const MOST_PONGS = 16;

export class PongLimiter {
  readonly #wire: WsSocket;
  #underWay = 0;
  #unanswered: Buffer | undefined;

  constructor(wire: WsSocket) {
    this.#wire = wire;
  }

  answer(payload: Buffer): void {
    if (this.#underWay < MOST_PONGS) this.#send(payload);
    else this.#unanswered = Buffer.from(payload);
  }

  #send(payload: Buffer): void {
    this.#underWay++;
    this.#wire.pong(payload, false, () => {
      this.#underWay--;
      const newest = this.#unanswered;
      this.#unanswered = undefined;
      if (newest && this.#wire.readyState === this.#wire.OPEN) this.#send(newest);
    });
  }
}
