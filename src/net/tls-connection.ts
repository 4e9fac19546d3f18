// A connection whose TLS is done by the relay's threads. Its descriptor carries TLS; what node reads of it are plain bytes,
// by a stream between the thread and node that is made once somebody asks for it.
import type { Socket } from 'node:net';
import { FdConnection } from './fd-connection.ts';

/** The threads that do its TLS. */
export interface TlsThreads {
  /** Makes a stream of its plain bytes; the threads have the connection from then on. Throws where no descriptor is left. */
  stream(connection: TlsConnection, buffer: Buffer | null): Socket;
  /** Closes it. */
  drop(connection: TlsConnection): void;
}

interface TlsAt {
  readonly fd: number;
  readonly thread: number;
  readonly place: number;
  readonly servername: string | false;
  readonly resumed: boolean;
}

export class TlsConnection extends FdConnection {
  /** As a TLSSocket of node's has it. */
  readonly encrypted = true;
  /** By which the threads know its TLS. */
  readonly place: number;
  /** The name that the client asked for (RFC 6066 §3); false: none. */
  readonly servername: string | false;
  /** Whether a session from before was resumed. */
  readonly resumed: boolean;
  readonly #threads: TlsThreads;

  constructor(at: TlsAt, threads: TlsThreads) {
    super(at.fd, at.thread);
    this.place = at.place;
    this.servername = at.servername;
    this.resumed = at.resumed;
    this.#threads = threads;
  }

  protected override openSocket(buffer: Buffer | null): Socket {
    const socket = this.#threads.stream(this, buffer);
    const said = { encrypted: { value: true }, servername: { value: this.servername } };
    return Object.defineProperties(socket, said);
  }

  protected override close(): void {
    this.#threads.drop(this);
    this.take();
  }
}
