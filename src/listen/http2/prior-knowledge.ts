// HTTP/2 without TLS and without asking (RFC 9113 §3.3): a connection that begins with HTTP/2's preface is one of HTTP/2,
// any other is HTTP/1.1's from its first byte on.
import type { Socket } from 'node:net';
import { FirstBytes } from '../first-bytes.ts';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** Whether a connection that begins with these bytes is HTTP/2's; null while they could still become its preface. */
export function beginsHttp2(bytes: Buffer): boolean | null {
  const length = Math.min(bytes.length, PREFACE.length);
  if (bytes.compare(PREFACE, 0, length, 0, length) !== 0) return false;
  return length === PREFACE.length ? true : null;
}

/** Finds out what connections begin with. */
export class PriorKnowledge {
  readonly #firstBytes = new FirstBytes();

  /** Calls `then` once, with whether it is HTTP/2, unless the connection is lost before. */
  read(socket: Socket, timeoutMs: number, then: (http2: boolean) => void): void {
    let held = Buffer.alloc(0);
    const judge = (part: Buffer): boolean | null => {
      held = Buffer.concat([held, part]);
      return beginsHttp2(held);
    };
    this.#firstBytes.read(socket, timeoutMs, judge, then);
  }

  /** Destroys the connections whose first bytes are awaited. */
  cut(): void {
    this.#firstBytes.cut();
  }
}
