// The interface of plain HTTP: one request to one server, its answer back. Which server, which fields and what to answer when
// it fails is decided by actions/forward.ts; an engine moves the message.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SlotSet } from '../base/slot-set.ts';
import { GatewayError } from '../errors.ts';
import type { AnswerHead } from '../http/answer.ts';
import type { Endpoint } from '../net/endpoint.ts';
import type { EndlessAnswer } from '../upstream/endless.ts';
import type { ClientRequest, ClientResponse } from './client.ts';

export interface Exchange {
  readonly request: ClientRequest;
  readonly response: ClientResponse;
  readonly server: Endpoint;
  /**
   * What the connection to the server begins with, before TLS: it names one client, so that the connection carries this
   * exchange and no other. Null: nothing, and any connection to the server will do.
   */
  readonly preamble: Buffer | null;
  /** The target to send, origin-form or `*`. */
  readonly target: string;
  /**
   * The fields to send, flat name, value, …; the header policy has been applied. Content-Length, Transfer-Encoding and
   * Connection are the engine's: it frames the message as the client framed it.
   */
  readonly fields: readonly string[];
  /** The fields of an answer, flat, for the client: the header policy applied, in a list of their own. `names`: in lower case. */
  responseFields(fields: readonly string[], names?: readonly string[]): string[];
  /** Most bytes of the request's body; past them the exchange fails with `body_too_large`. Null: any number. */
  readonly maxBody: number | null;
  /** How many bytes of the request's body have come, which the engine counts. */
  bodyBytes: number;
  /** The gateway's own fields of the final answer, flat. */
  readonly ownFields: readonly string[];
  /**
   * Asked with the head of the final answer, before anything of it is passed on. True: it is not wanted, and the exchange
   * fails with `backend_refused`. Not asked where the client has seen an interim answer.
   */
  declines(status: number, fields: readonly string[]): boolean;
  /** Where an answer without an end stands while it is under way. */
  readonly endless: SlotSet<EndlessAnswer>;
  /** Milliseconds. */
  readonly timeouts: Timeouts;
  /**
   * The exchange is over, called once: with null once the whole answer is written, else with why it failed
   * (`backend_refused`, `backend_timeout`, `bad_accept`, `client_gone`, `body_too_large`, `limit`, `internal`). Where nothing of an
   * answer was sent then, `response` is untouched, so that the caller can answer; where part of it was, and with `client_gone`,
   * the client's connection has been destroyed. Must not throw.
   */
  settled(failure: ExchangeError | null): void;
}

/** Milliseconds. */
export interface Timeouts {
  /** Until a connection to the server stands, TLS included. */
  readonly connect: number;
  /** From the request's sending to the answer's head; stands still while the client is the one who is awaited. */
  readonly head: number;
  /** Without a byte moving: between two parts of an answer, or of a request that still comes. */
  readonly idle: number;
}

/**
 * Milliseconds that a connection to a server is kept idle where the server names no time of its own: shorter than servers
 * wait, so that they seldom close one under a request.
 */
export const IDLE_MS = 4000;

/** Methods whose request may be made twice (RFC 9110 §9.2.2). */
export const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

export interface HttpEngineOptions {
  /** Connections to one server at a time, busy and idle; further requests are queued. Unset: no limit. */
  readonly connectionsPerServer?: number;
  /** PEM of the authorities to trust in place of the usual ones. */
  readonly ca?: string;
}

/**
 * How far an exchange had got: nothing of the request was sent to the server; the head was, and the request has no body;
 * part of a body was, or something of an answer to the client.
 */
export type Progress = 'unsent' | 'head' | 'begun';

/** Why an exchange failed, and how far it had got. */
export class ExchangeError extends GatewayError {
  readonly progress: Progress;

  constructor({ code, message, cause }: GatewayError, progress: Progress) {
    super(code, message, cause);
    this.progress = progress;
  }
}

/**
 * The connections to servers that one client's connection has authenticated (RFC 4559 §6); over HTTP/2 it is one stream. Each ends with its client, and
 * after a while that it is idle; a client has one idle to a server, at most.
 */
export interface BoundConnections {
  /** The servers that this client has such connections to; null: none. */
  servers(client: Duplex): ReadonlySet<Endpoint> | null;
  /** An idle one, to send a handshake on: the caller ends it, or gives it back by keep(). Null where there is none. */
  take(server: Endpoint, client: Duplex): Socket | null;
  /** Whether a connection can be kept on which a handshake was answered so. */
  keeps(server: Endpoint, head: AnswerHead): boolean;
  /** Keeps it for the next request of this client, a plain one or a handshake. */
  keep(server: Endpoint, client: Duplex, connection: Socket, head: AnswerHead): void;
}

/** One way of moving a plain request. */
export interface HttpEngine {
  readonly name: string;
  /** Null where it takes in no connections that it has not opened. */
  readonly bound: BoundConnections | null;
  /** Begins an exchange; its `settled` is called when it is over, which may be at once. */
  forward(exchange: Exchange): void;
  /** Ends idle connections to servers, once the config that used them was replaced; busy ones end when they are done. */
  close(): void;
}
