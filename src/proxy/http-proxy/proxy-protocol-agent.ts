// node's way to one connection that begins with a PROXY preamble: an agent that serves a single request.
import { Agent, type ClientRequestArgs } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type Connected, connectWithPreamble } from '../../net/dial.ts';
import type { Endpoint } from '../../net/endpoint.ts';

export class ProxyProtocolAgent extends Agent {
  readonly #server: Endpoint;
  readonly #preamble: Buffer;
  #socket: Socket | null = null;

  constructor(server: Endpoint, preamble: Buffer) {
    super({ keepAlive: false });
    // node compares it with what is asked for.
    (this as { protocol?: string }).protocol = server.secure ? 'https:' : 'http:';
    this.#server = server;
    this.#preamble = preamble;
  }

  /** Gives the socket when it is connected, and none at once: node may choose another descriptor until then. */
  override createConnection(
    _: ClientRequestArgs,
    connected?: (error: Error | null, socket: Duplex) => void,
  ): undefined {
    // Where there is an error, nobody looks at the socket.
    this.#socket = connectWithPreamble(this.#server, this.#preamble, connected as Connected);
    return undefined;
  }

  /** Ends the connection, whatever it is doing. */
  drop(): void {
    this.#socket?.destroy();
  }
}
