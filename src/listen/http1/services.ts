// What the connections of a server have in common: their settings, and who takes what comes on them.
import type { Socket } from 'node:net';
import type { Deadlines } from '../../base/deadlines.ts';
import type { MemoryBudget } from '../../base/memory-budget.ts';
import type { Rejection } from '../../handshake/rejection.ts';
import type { ReceivedRequest } from '../../http/request-reader.ts';
import type { ClientRequest, ClientResponse } from '../../proxy/client.ts';
import type { ClientConnection } from './connection.ts';

/** What holds for connections and changes with the config. Times in milliseconds, sizes in bytes. */
export interface Http1Settings {
  readonly maxHead: number;
  /** For a head to arrive whole: from the connection's beginning, and from the first byte of each further one. */
  readonly headMs: number;
  /** Without a request, until the connection is closed. */
  readonly keepAliveMs: number;
  /** Field lines of an answer behind which the connection stays open. */
  readonly keepAlive: string;
}

/** What a connection gets of its server. */
export interface Http1Services {
  readonly settings: () => Http1Settings;
  readonly deadlines: Deadlines;
  /** Of what all connections hold before its turn. */
  readonly waiting: MemoryBudget;
  /** For the field Date. */
  readonly date: () => string;
  /** Serves a request; what it throws is its own matter. */
  readonly serve: (request: ClientRequest, response: ClientResponse) => void;
  /** Takes a connection whose next octets are no HTTP: a handshake's or a CONNECT's, and what came behind it. */
  readonly onUpgrade: (head: ReceivedRequest, socket: Socket, rest: Buffer) => void;
  /** Called where a connection was refused before there was a request. */
  readonly onRefused: (socket: Socket, rejection: Rejection) => void;
  /** Called once: the connection is closed, or was taken by onUpgrade. */
  readonly onLeft: (connection: ClientConnection) => void;
}
