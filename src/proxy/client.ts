// The client's side of a plain request: what it asks, and where its answer goes. All above it (exchange, actions, access,
// limits, metrics) works by these two, whatever the client speaks: over node's server they are listen/node/client.ts.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { MessageLike } from '../http/head.ts';

/** Receives the body of a request. */
export interface BodySink {
  /** Takes a part, which is its own from then on; false: no more until the request's `resume`. */
  onBodyPart(part: Buffer): boolean;
  /** The body is whole; the request's `trailers` are known. Called once, and never where the client broke off. */
  onBodyEnd(): void;
}

export interface ClientRequest {
  /** The head as it came. Over HTTP/2 `httpVersion` is `1.1`, and a body without a length has `Transfer-Encoding: chunked`. */
  readonly message: MessageLike;
  /**
   * The connection it came on: who is at its other end, its TLS, and what else is bound to it. Nobody above the client's side
   * reads, writes or ends it; over HTTP/2 other requests share it.
   */
  readonly connection: Socket;
  /**
   * What a login that authenticates a connection binds the server's to (RFC 4559 §6): the client's connection. Over HTTP/2,
   * where one connection carries requests of many, it is the stream, so that the server's serves nobody after it.
   */
  readonly authScope: Duplex;
  /** Whether its head announces a body. */
  readonly hasBody: boolean;
  /** Whether its client may wait for a 100 before it sends the body (RFC 9110 §10.1.1). */
  readonly expectsContinue: boolean;
  /** Whether all of it has been received; parts of it may not have been given to a sink yet. */
  readonly complete: boolean;
  /** Whether any of the body was given to a sink, or dropped. */
  readonly bodyUsed: boolean;
  /** Whether the body was given to its end. */
  readonly bodyEnded: boolean;
  /** Flat, as they came; known at the end of the body. */
  readonly trailers: readonly string[];
  /** Begins to give the body, no faster than the sink takes it. Called once. */
  read(sink: BodySink): void;
  /** Goes on after the sink has taken no more. */
  resume(): void;
  /** Gives no more of it, and leaves the rest unread. */
  stop(): void;
  /**
   * Reads and drops the rest of the body, then calls `then`: at its end, or when it has taken too long or too much.
   * Closing a connection with unread input would take the answer from the client (RFC 9112 §9.6).
   */
  discard(then: () => void): void;
  /** Gives the request up: HTTP/1 ends its connection, HTTP/2 resets its stream. */
  abandon(): void;
}

/** Is notified of what becomes of an answer. */
export interface ResponseEvents {
  /** More of the body may be written. */
  onDrain(): void;
  /** The whole answer was given to the system. */
  onSent(): void;
  /** The client left before that, or the answer was cut. */
  onClientLeft(): void;
}

/**
 * How the client finds the end of an answer's body (RFC 9112 §6): there is none; its length is among the fields; in chunks
 * (HTTP/2: by its frames); or by the end of the connection.
 */
export type BodyFraming = 'none' | 'length' | 'chunked' | 'close';

/** The head of an answer. Its fields hold no Transfer-Encoding. */
export interface ResponseHead {
  readonly status: number;
  /** Null: the usual one. */
  readonly phrase: string | null;
  /** Flat. */
  readonly fields: readonly string[];
  readonly framing: BodyFraming;
}

export interface ClientResponse {
  /** The status of the final answer; 200 before there is one. */
  readonly status: number;
  /** Whether the head of the final answer was given to it. */
  readonly headersSent: boolean;
  /** Whether nothing more can be sent: the answer is whole, or the client has left. */
  readonly closed: boolean;
  /** How many bytes of it were given to the system, interim answers included; what still waits is not counted. */
  readonly bytesToClient: number;
  /** From now on these are notified, in place of those before; null: nobody. */
  notify(events: ResponseEvents | null): void;
  /** Calls this when the response is closed. Any number may ask for it. */
  onClosed(callback: () => void): void;
  /** This answer is the last one of its connection, which ends behind it. Over HTTP/2 it means nothing. */
  closeAfter(): void;
  /** Sends an interim answer (RFC 9110 §15.2), of HTTP/1.1 or 2 only. One that is not 100 may be dropped. */
  interim(status: number, phrase: string, fields: readonly string[]): void;
  /** A whole answer; its fields say the length of the body. A HEAD gets no body. */
  answer(head: ResponseHead, body: Buffer | null): void;
  /**
   * The head of an answer; `end` follows, and before it what there is of a body. It goes out with what follows, or by flush().
   * Throws where a field can't be sent, and nothing was sent then.
   */
  head(head: ResponseHead): void;
  /** A part of the body; false: `drained` says when to go on. */
  write(part: Buffer): boolean;
  /** Ends the answer, with the last part of its body where there is one. Trailers only behind chunks. */
  end(last: Buffer | null, trailers: readonly [string, string][]): void;
  /** Sends what it was given so far, though the rest of it does not come at once. */
  flush(): void;
  /** Breaks the answer off, so that the client can't take what it got for a whole one. */
  cut(): void;
  /**
   * The same behind what has come of it: that is sent first, as long as the client takes it, `most` milliseconds at most.
   * Calls `then` when it is broken off.
   */
  cutBehind(most: number, then: () => void): void;
}
