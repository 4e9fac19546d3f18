// A connection to a server that nobody reads or watches at the moment, known by its descriptor alone: cheaper than a
// socket of node's, and made into one where it must be.
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';

/** An open descriptor and the one who has to see to it. It must be taken, made a socket, or destroyed. */
export class Parked {
  #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** The descriptor, or -1 once it has been given away or closed. */
  get fd(): number {
    return this.#fd;
  }

  /** Gives the descriptor away: the taker closes it. */
  take(): number {
    const fd = this.#fd;
    this.#fd = -1;
    return fd;
  }

  /** The connection as a socket of node's, paused. Throws where it has been given away already. */
  socket(): Socket {
    const socket = new Socket({ fd: this.take(), allowHalfOpen: true, readable: true, writable: true });
    // Whoever reads the socket learns of an error by its `close` at the latest; none may go unheard.
    return socket.on('error', () => undefined).pause();
  }

  /** Closes the connection, if it is still here. */
  destroy(): void {
    const fd = this.take();
    if (fd >= 0) closeSync(fd);
  }
}

/** A connection as a socket of node's, whichever way it was dialled. */
export function asSocket(connection: Socket | Parked): Socket {
  return connection instanceof Parked ? connection.socket() : connection;
}
