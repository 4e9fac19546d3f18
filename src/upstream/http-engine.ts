// The seam of plain HTTP: one request to one server, its answer back. Which server, which fields and what to answer when
// it fails is decided by actions/forward.ts; an engine moves the message.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server } from './pool.ts';

export interface Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly server: Server;
  /** The target to send, origin-form or `*`. */
  readonly target: string;
  /** The fields to send, flat name, value, …; the header policy has been applied. */
  readonly fields: readonly string[];
  /** Applies the header policy to the fields of an answer, flat, before they reach the client. */
  readonly responseFields: (fields: readonly string[]) => string[];
  /** Milliseconds. */
  readonly timeouts: { readonly connect: number; readonly head: number; readonly idle: number };
}

/**
 * One way of moving a plain request. `forward` settles when the exchange is over: it resolves once the whole answer is
 * written, and rejects with a GatewayError (`backend_refused`, `backend_timeout`, `bad_accept`, `client_gone`) otherwise.
 * Where it rejects and nothing of an answer was sent, `res` is untouched, so that the caller can answer; where part of an
 * answer was sent, the client's connection has been destroyed.
 */
export interface HttpEngine {
  readonly name: string;
  forward(exchange: Exchange): Promise<void>;
  /** Ends idle connections to servers, once the config that used them is gone; busy ones end when they are done. */
  close(): void;
}
