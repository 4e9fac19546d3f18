// HTTP/1.1 of one listener: it is given connections, whoever accepted them, and gives their requests and handshakes to the
// gateway. How a connection goes on is connection.ts.
import type { Socket } from 'node:net';
import { peerOf } from '../../actions/peer.ts';
import { Deadlines } from '../../base/deadlines.ts';
import { guarded } from '../../base/guard.ts';
import { SlotSet } from '../../base/slot-set.ts';
import type { Emit } from '../../events.ts';
import type { Rejection } from '../../handshake/rejection.ts';
import type { HeadFault, ReceivedRequest, RequestReader, RequestStart } from '../../http/request-reader.ts';
import type { Gateway } from '../../pipeline/requests.ts';
import type { ClientRequest, ClientResponse } from '../../proxy/client.ts';
import { DateField } from './answer-head.ts';
import { ClientConnection } from './connection.ts';
import type { Http1Services, Http1Settings } from './services.ts';

const NOTHING = Buffer.alloc(0);

/** What was read of a connection by who accepted it. */
export interface Begun {
  readonly bytes: Buffer;
  readonly reader: RequestReader;
  /** What the reader made of the bytes. */
  readonly start: RequestStart | HeadFault | null;
}

/** What is read from a connection at a time, at most, as node has it. */
const READ_BYTES = 64 * 1024;

export class Http1Server {
  /** For connections to read into; it is free again when a part was taken out. */
  readonly buffer = Buffer.alloc(READ_BYTES);
  readonly #gateway: Gateway;
  readonly #emit: Emit;
  readonly #services: Http1Services;
  readonly #date = new DateField();
  readonly #connections = new SlotSet<ClientConnection>();
  #settings: Http1Settings;

  constructor(settings: Http1Settings, gateway: Gateway, emit: Emit) {
    this.#settings = settings;
    this.#gateway = gateway;
    this.#emit = emit;
    this.#services = {
      settings: () => this.#settings,
      deadlines: new Deadlines('connection'),
      waiting: gateway.waiting,
      date: () => this.#date.now(),
      serve: (request, response) => this.#serve(request, response),
      onUpgrade: this.#onUpgrade,
      onRefused: (socket, rejection) => this.#onRefused(socket, rejection),
      onLeft: (connection) => this.#onLeft(connection),
    };
  }

  /** Holds for heads and connections to come. */
  configure(settings: Http1Settings): void {
    this.#settings = settings;
  }

  /** Takes a connection whose peer is known; what was put back into its stream is read first. */
  readonly take = guarded(
    'connection',
    (socket: Socket) => this.#open(socket, NOTHING),
    (socket) => socket.destroy(),
  );

  /** The same of one that something was read of. */
  readonly takeBegun = guarded(
    'connection',
    (socket: Socket, begun: Begun) => this.#open(socket, begun.bytes, begun),
    (socket) => socket.destroy(),
  );

  /** Ends the connections that wait for a next request. */
  closeIdle(): void {
    for (const connection of this.#connections) connection.closeIdle();
  }

  /** Ends every connection, whatever it does; those that were upgraded are not known here any more. */
  cut(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  #open(socket: Socket, bytes: Buffer, begun: Begun | null = null): void {
    if (socket.destroyed) return;
    const connection = new ClientConnection(socket, this.#services, begun?.reader);
    connection.place = this.#connections.add(connection);
    connection.open(bytes, begun?.start);
  }

  #onLeft(connection: ClientConnection): void {
    if (connection.place !== null) this.#connections.remove(connection.place);
  }

  #serve(request: ClientRequest, response: ClientResponse): void {
    const { acceptPriority } = this.#gateway;
    if (acceptPriority.coming) acceptPriority.defer(() => this.#gateway.serve(request, response));
    else this.#gateway.serve(request, response);
  }

  readonly #onUpgrade = guarded(
    'handshake',
    ({ method, target, version, fields, names }: ReceivedRequest, socket: Socket, rest: Buffer) => {
      const message = { method, url: target, httpVersion: version, rawHeaders: fields, names };
      this.#gateway.handshakes.onReleased(message, socket, rest, (bytes) => this.#open(socket, bytes));
    },
    (_head, socket) => socket.destroy(),
  );

  #onRefused(socket: Socket, { status, reason, detail }: Rejection): void {
    this.#emit({ type: 'head_refused', protocol: '1.1', client: peerOf(socket).address, status, reason, detail });
  }
}
