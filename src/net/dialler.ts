// The interface of the native dialler: connecting, sending and collecting happen behind it, and the caller judges the bytes. A
// dialler knows addresses and bytes, no HTTP and no names.
import type { FdConnection } from './fd-connection.ts';

/** What to dial, and what to send as soon as it is connected. Waits are in milliseconds. */
export interface DialRequest {
  /** An IPv4 or IPv6 address without a zone. */
  readonly address: string;
  readonly port: number;
  /** One character is one byte. */
  readonly bytes: string;
  /** Timeout of the connection. */
  readonly connectMs: number;
  /** Timeout of the answer, from the connection on. */
  readonly answerMs: number;
  /** How many bytes of a head are collected; the last read may go beyond. */
  readonly maxHead: number;
}

/**
 * Why there is no connection, or no whole answer: `timeout` of connecting, `silent` where the answer did not come in time,
 * `ended` where the server ended the connection, or a system error's code.
 */
export type DialFailure = 'timeout' | 'silent' | 'ended' | (string & {});

/** Gets the result of a dial, once: never from inside the call that starts it, and never after it was cancelled. */
export interface DialCaller {
  /**
   * Bytes have come, with an empty line (CRLF CRLF) among them, more than `maxHead`, or such as can't become the head of an
   * answer: they don't begin with `HTTP/`, or a line ends without CR. `bytes` may be looked at until this
   * returns. The connection is the caller's. `connectMs` is how long connecting took.
   */
  onHead(connection: FdConnection, bytes: Buffer, connectMs: number): void;
  /** Nothing of the connection is left. */
  failed(why: DialFailure, connected: boolean): void;
}

/** A dial in progress; its content belongs to its dialler. */
export interface Dialling {
  readonly id: number;
}

/** Throws a GatewayError `limit` where nothing can be started. */
export interface Dialler {
  dial(request: DialRequest, caller: DialCaller): Dialling;
  /** Reads on from a connection: collects behind `held`, the bytes that arrived and are not used up, which come again. */
  collect(
    connection: FdConnection,
    held: Buffer,
    wait: Pick<DialRequest, 'answerMs' | 'maxHead'>,
    caller: DialCaller,
  ): Dialling;
  /** Its caller gets no result any more, and its connection is closed. */
  cancel(dialling: Dialling): void;
}
