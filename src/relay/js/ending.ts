// The closing handshake of a tunnel: a Close between two frames to each receiver that has had none, its answer, FIN, and a last
// wait. The gateway starts it (begin), or a lost backend (peerLost). RFC 6455 §7.1; docs/relay.md has the rules.

import { WAITS } from '../relay.ts';
import { BLOCK, type Conn } from './conn.ts';
import { type Flow, WANT } from './flow.ts';
import { buildClose } from './frames.ts';
import type { JsTunnel } from './tunnel.ts';

const NEVER = Number.POSITIVE_INFINITY;

/** The close codes for the two receivers, and the one that is reported for the tunnel. */
export interface CloseCodes {
  readonly code: number;
  readonly toClient: number;
  readonly toBackend: number;
  /** The reason text of the Close. */
  readonly reason: string;
}

export class Ending {
  readonly #tunnel: JsTunnel;
  readonly #codes: CloseCodes;
  #deadlineAt = NEVER;
  /** From then on a Close may also be sent between the fragments of a message. */
  #anyFrameAt = NEVER;

  constructor(tunnel: JsTunnel, codes: CloseCodes) {
    this.#tunnel = tunnel;
    this.#codes = codes;
  }

  /** Waits for the next boundary in both directions. */
  begin(deadlineMs: number): void {
    this.limit(deadlineMs);
    const { client, backend } = this.#tunnel;
    for (const conn of [client, backend]) conn.unblock(BLOCK.rate);
    this.#ask(backend.flow);
    this.#ask(client.flow);
    this.settle();
  }

  /** Sets the deadline, or shortens it. */
  limit(deadlineMs: number): void {
    const now = this.#tunnel.wheel.now();
    this.#deadlineAt = Math.min(this.#deadlineAt, now + deadlineMs);
    this.#anyFrameAt = Math.min(this.#anyFrameAt, now + Math.min(WAITS.message, deadlineMs / 2));
    this.#tunnel.wake(Math.min(this.#anyFrameAt, this.#deadlineAt));
  }

  #ask(flow: Flow): void {
    const { sink } = flow;
    if (sink.writeClosed) flow.stop();
    else if (sink.closeOut !== 'none') return;
    else if (!flow.followed && !flow.atFrame) this.unfollowed(flow);
    else {
      flow.wants |= WANT.close;
      flow.offer();
    }
  }

  /** A direction whose frames are unknown can't carry a Close: its receiver gets FIN. */
  unfollowed(flow: Flow): void {
    if (flow.stopped || flow.sink.closeOut !== 'none') return;
    flow.stop();
    this.#finish(flow.sink);
  }

  /** The direction is at a boundary: sends the Close, and nothing after it. */
  inject(flow: Flow): void {
    const { sink } = flow;
    const code = sink.role === 'client' ? this.#codes.toClient : this.#codes.toBackend;
    sink.write(buildClose(code, this.#codes.reason, sink.role));
    sink.closeOut = 'injected';
    this.#tunnel.noteCode(this.#codes.code);
    flow.stop();
  }

  /** Handles a complete Close from the flow's source while the tunnel ends. True: it is not forwarded. */
  closeArrived(flow: Flow): boolean {
    const { source, sink } = flow;
    if (flow.stopped) return true;
    if (source.closeOut !== 'injected') {
      sink.closeOut = 'passed';
      flow.wants &= ~WANT.close;
      return false;
    }
    // The answer to the gateway's Close. Nothing follows it, so the sink is at its last boundary.
    if (sink.closeOut === 'none') flow.anyFrame = true;
    return true;
  }

  /**
   * The backend's stream ended without a Close: the client gets a Close between two frames, and FIN at once. Where the
   * client's own FIN came first, the backend has only answered it and is not lost: FIN alone.
   */
  peerLost(): void {
    const { client, backend } = this.#tunnel;
    const whole = backend.flow.flush();
    if (whole && client.closeOut === 'none' && !client.finIn && !client.writeClosed) this.inject(backend.flow);
    for (const conn of [client, backend]) {
      conn.flow.stop();
      this.#finish(conn);
    }
  }

  /** The flow's source will send no more. */
  streamOver(flow: Flow): void {
    if (!flow.stopped) {
      const whole = flow.flush();
      const { sink } = flow;
      if (whole && sink.closeOut === 'none' && !sink.writeClosed) this.inject(flow);
      else {
        flow.stop();
        this.#finish(sink);
      }
    }
    this.settle();
  }

  /** Sends FIN to each side whose closing handshake is complete. */
  settle(): void {
    const { client, backend } = this.#tunnel;
    this.#settle(client);
    this.#settle(backend);
  }

  /** Toward the client the gateway is the server and closes at once; the backend's FIN it awaits (RFC 6455 §7.1.1). */
  #settle(conn: Conn): void {
    if (conn.finOut) conn.linger();
    if (conn.writeClosed || conn.closeOut === 'none') return;
    if (conn.finIn || !conn.flow.followed || (conn.closeIn && conn.role === 'client')) this.#finish(conn);
    else if (conn.closeIn && conn.finBy === NEVER) {
      conn.finBy = this.#tunnel.wheel.now() + WAITS.fin;
      this.#tunnel.wake(conn.finBy);
    }
  }

  #finish(conn: Conn): void {
    conn.end();
    conn.linger();
  }

  /** Checks the deadlines; returns when to check again. */
  due(now: number): number {
    if (now >= this.#deadlineAt) {
      this.#tunnel.destroy();
      return NEVER;
    }
    if (now >= this.#anyFrameAt) {
      this.#anyFrameAt = NEVER;
      for (const { flow } of [this.#tunnel.client, this.#tunnel.backend]) {
        flow.anyFrame = true;
        flow.offer();
      }
      this.settle();
    }
    return Math.min(this.#anyFrameAt, this.#deadlineAt);
  }
}
