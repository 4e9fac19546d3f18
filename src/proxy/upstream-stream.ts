// What an HTTP engine gives an exchange: the request toward one server, to be written, and the events of its answer.
import { guarded } from '../base/guard.ts';
import { GatewayError, systemCode } from '../errors.ts';

/** One request toward a server. The engine calls the exchange (UpstreamEvents) with what comes back. */
export interface UpstreamStream {
  /** Whether its connection had served another request before. */
  readonly reused: boolean;
  /** Whether any byte came back since the request was begun. */
  readonly touched: boolean;
  /** Sends the head, where a body follows it. */
  sendHead(): void;
  /** Sends a part of the body; false: no more until `drained` is called. */
  write(part: Buffer): boolean;
  /** Ends the request; trailers, as [name, value], only behind chunks. */
  finish(trailers: readonly [string, string][]): void;
  /** Goes on with an answer that waits because `part` returned false. */
  resume(): void;
  /** Gives the connection up. No event follows. */
  destroy(): void;
}

/** The head of an answer, as it came. */
export interface ReceivedHead {
  /** `1.0` or `1.1`. */
  readonly version: string;
  readonly status: number;
  readonly phrase: string;
  /** Flat. */
  readonly fields: readonly string[];
  /** The names of its fields in lower case, if the engine has them already. */
  readonly names?: readonly string[];
}

/** Receives the events of a request. */
export interface UpstreamEvents {
  /** The connection is being opened. */
  connecting(): void;
  /** The connection stands: the request may be sent. */
  connected(): void;
  /** The connection takes more of the body. */
  drained(): void;
  interim(status: number, phrase: string, fields: readonly string[]): void;
  answer(head: ReceivedHead): void;
  /** What has come so far of the answer is to be sent on now: its head does not wait for more. */
  flush(): void;
  /** A part of the answer's body; false: no more until the stream's `resume`. */
  part(part: Buffer): boolean;
  /** The answer is whole; `trailers` flat, as they came. */
  end(trailers: readonly string[]): void;
  /** The connection broke, or what came over it is not HTTP. */
  lost(cause: unknown): void;
  fail(error: GatewayError): void;
}

/** The cause where a defect of ours broke an exchange. */
export const DEFECT = new GatewayError('internal', 'carrying the exchange broke');

/** What node calls about an exchange: one where that breaks is lost. */
export function lostIfBroken<A extends readonly unknown[]>(
  receiver: UpstreamEvents,
  callback: (...args: A) => void,
): (...args: A) => void {
  return guarded('request', callback, () => receiver.lost(DEFECT));
}

const LOST = new Set(['ECONNRESET', 'EPIPE']);

/** Whether a kept connection turned out to be lost, with nothing received on it since the request was begun. */
export function wasStale(stream: UpstreamStream, cause: unknown): boolean {
  return stream.reused && !stream.touched && LOST.has(systemCode(cause) ?? '');
}
