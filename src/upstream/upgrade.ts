// A handshake with one server: the rebuilt request goes out, the head of the answer comes back, strictly read. What the
// answer means is judged by the caller; bytes behind the head are handed over untouched.
import type { Socket } from 'node:net';
import { GatewayError } from '../errors.ts';
import { type AnswerHead, LARGEST_ANSWER_HEAD, parseAnswerHead } from '../http/answer.ts';
import type { Departure } from './departure.ts';
import { dial, upstreamError } from './dial.ts';
import type { Parked } from './parked.ts';
import type { Endpoint } from './server.ts';

const NOTHING = Buffer.alloc(0);

/** A server's final answer to a handshake; its connection is paused. */
export interface Answer {
  readonly socket: Socket | Parked;
  readonly head: AnswerHead;
  /** What was read behind the head. */
  readonly rest: Buffer;
  /** How long the connection took, in milliseconds. */
  readonly connectMs: number;
}

export interface UpgradeTimeouts {
  readonly connect: number;
  readonly handshake: number;
}

/** What is asked of a server, and until when. */
export interface Asking {
  /** What the connection begins with, before TLS; null: nothing. */
  readonly preamble: Buffer | null;
  readonly handshake: string;
  readonly timeouts: UpgradeTimeouts;
  readonly gone: Departure;
}

/**
 * Sends a handshake to a server and reads the head of its final answer; interim answers (1xx other than 101) are
 * skipped. Rejects with a GatewayError: `backend_refused`, `backend_timeout`, `bad_accept` for what is no HTTP,
 * `limit`, `client_gone`. Where it rejects, nothing of the connection is left.
 */
export async function requestUpgrade(
  server: Endpoint,
  { preamble, handshake, timeouts, gone }: Asking,
): Promise<Answer & { readonly socket: Socket }> {
  const started = performance.now();
  const socket = await dial(server, timeouts.connect, gone, preamble);
  const connectMs = performance.now() - started;
  socket.write(handshake, 'latin1');
  const { head, rest } = await readAnswer(socket, server, timeouts.handshake, gone);
  return { socket, head, rest, connectMs };
}

function readAnswer(
  socket: Socket,
  server: Endpoint,
  timeoutMs: number,
  gone: Departure,
): Promise<{ head: AnswerHead; rest: Buffer }> {
  return new Promise((resolve, reject) => {
    const reader = new AnswerReader();
    const settle = (error: GatewayError | null): void => {
      clearTimeout(timer);
      gone.watch(null);
      socket.removeListener('data', onData).removeListener('end', onEnd).removeListener('error', onError).pause();
      if (error === null) return;
      socket.destroy();
      reject(error);
    };
    const onData = (chunk: Buffer): void => {
      const read = reader.take(chunk);
      if (read === null) return;
      settle('fault' in read ? new GatewayError('bad_accept', `${server.url}: ${read.fault}`) : null);
      if ('head' in read) resolve(read);
    };
    const onEnd = (): void =>
      settle(new GatewayError('backend_refused', `${server.url} ended the connection before its answer`));
    const onError = (error: Error): void => settle(upstreamError(error, `reading from ${server.url}`));
    const onGone = (): void => settle(new GatewayError('client_gone', 'the client left'));
    const timer = setTimeout(
      () => settle(new GatewayError('backend_timeout', `no answer from ${server.url} within ${timeoutMs} ms`)),
      timeoutMs,
    );
    if (gone.left) {
      onGone();
      return;
    }
    gone.watch(onGone);
    socket.on('data', onData).once('end', onEnd).once('error', onError);
  });
}

/** Collects an answer's head from chunks; interim answers before it are dropped. */
export class AnswerReader {
  #held: Buffer = NOTHING;
  #seen = 0;

  /** How many bytes it would hold without an answer before they are too many. */
  get room(): number {
    return LARGEST_ANSWER_HEAD + 3 - this.#seen;
  }

  /** Gives back what it holds of an answer, which then has to come again. */
  giveBack(): Buffer {
    const held = this.#held;
    this.#held = NOTHING;
    return held;
  }

  /** The head and what stands behind it, a fault, or null while more is needed. */
  take(chunk: Buffer): { head: AnswerHead; rest: Buffer } | { fault: string } | null {
    // The blank line may straddle two chunks: look again from three bytes before the seam.
    let from = Math.max(0, this.#held.length - 3);
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    for (;;) {
      const end = this.#held.indexOf('\r\n\r\n', from, 'latin1');
      // Up to three bytes of the blank line may be here already; they are not the head's.
      if (this.#seen + (end === -1 ? this.#held.length - 3 : end) > LARGEST_ANSWER_HEAD)
        return { fault: 'the head of the answer is too large' };
      if (end === -1) return null;
      const head = parseAnswerHead(this.#held.toString('latin1', 0, end));
      if ('fault' in head) return head;
      const rest = this.#held.subarray(end + 4);
      if (head.status >= 200 || head.status === 101) return { head, rest };
      // HTTP/1.0 knows none (RFC 9110 §15.2), and other readers take its end for the connection's.
      if (head.version === '1.0') return { fault: 'an interim answer of HTTP/1.0' };
      this.#seen += end + 4;
      this.#held = rest;
      from = 0;
    }
  }
}
