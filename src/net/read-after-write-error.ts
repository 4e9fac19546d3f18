// A connection to a server that is read to its end even where writing to it has failed. A server that refuses a request
// early answers and closes; the rest of the request then runs into a RST, and a plain net.Socket would throw away the
// answer that has already arrived (RFC 9112 §9.6 describes the same trap from the server's side).
import { Agent, type ClientRequestArgs } from 'node:http';
import { type IpcNetConnectOpts, Socket, type SocketConstructorOpts, type TcpNetConnectOpts } from 'node:net';
import { systemCode } from '../errors.ts';

type Written = (error?: Error | null) => void;

/** Errors after which reading ends by itself: what has arrived, then the end or a reset. */
const ENDED_BY_PEER = new Set(['EPIPE', 'ECONNRESET']);

class ReadAfterWriteErrorSocket extends Socket {
  override _write(chunk: unknown, encoding: BufferEncoding, written: Written): void {
    super._write(chunk, encoding, this.#delayError(written));
  }

  override _writev(chunks: { chunk: unknown; encoding: BufferEncoding }[], written: Written): void {
    super._writev?.(chunks, this.#delayError(written));
  }

  /** Holds the error of a failed write back until the reading side has ended the socket. */
  #delayError(written: Written): Written {
    return (error) => {
      if (this.destroyed || !ENDED_BY_PEER.has(systemCode(error) ?? '')) written(error);
      else this.once('close', () => written(error));
    };
  }
}

/** Connects such a socket. */
export function connectReadingAfterWriteError(to: TcpNetConnectOpts | IpcNetConnectOpts): Socket {
  return new ReadAfterWriteErrorSocket({}).connect(to);
}

/**
 * One that reads into a buffer which others may share, where node allocates 64 KiB for each read; what has come is copied out.
 * It is a stream as any other until somebody takes the parts directly.
 */
export class DirectSocket extends ReadAfterWriteErrorSocket {
  #receiver: ((part: Buffer) => void) | null = null;

  constructor(buffer: Buffer) {
    const onRead = (length: number): boolean => this.#onRead(Buffer.from(buffer.subarray(0, length)));
    super({ onread: { buffer, callback: onRead } } as SocketConstructorOpts);
  }

  /** From now on this gets each part as it is read, while the socket flows, and nobody `data`; null: the stream gets them again. */
  direct(receiver: ((part: Buffer) => void) | null): void {
    this.#receiver = receiver;
  }

  #onRead(part: Buffer): boolean {
    if (this.#receiver === null) return this.push(part);
    this.#receiver(part);
    return true;
  }
}

/** An agent for plain connections whose sockets report a failed write only after reading. */
export class ReadAfterWriteErrorAgent extends Agent {
  override createConnection(options: ClientRequestArgs): Socket {
    // An agent gives what it was asked for and its own options, which are those of a socket too.
    const given = options as ClientRequestArgs & SocketConstructorOpts & TcpNetConnectOpts;
    const socket = new ReadAfterWriteErrorSocket(given);
    if (given.timeout !== undefined) socket.setTimeout(given.timeout);
    return socket.connect(given);
  }
}
