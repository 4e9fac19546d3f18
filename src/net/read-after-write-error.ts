// A connection to a server that is read to its end even where writing to it has failed. A server that refuses a request
// early answers and closes; the rest of the request then runs into a RST, and a plain net.Socket would throw away the
// answer that has already arrived (RFC 9112 §9.6 describes the same trap from the server's side).
import { Agent, type ClientRequestArgs } from 'node:http';
import { type IpcNetConnectOpts, Socket, type SocketConstructorOpts, type TcpNetConnectOpts } from 'node:net';
import { systemCode } from '../errors.ts';
import { DirectSocket } from './direct-socket.ts';

type Written = (error?: Error | null) => void;

/** Errors after which reading ends by itself: what has arrived, then the end or a reset. */
const ENDED_BY_PEER = new Set(['EPIPE', 'ECONNRESET']);

/** Holds the error of a failed write back until the reading side has ended the socket. */
function delayError(socket: Socket, written: Written): Written {
  return (error) => {
    if (socket.destroyed || !ENDED_BY_PEER.has(systemCode(error) ?? '')) written(error);
    else socket.once('close', () => written(error));
  };
}

class ReadAfterWriteErrorSocket extends Socket {
  override _write(chunk: unknown, encoding: BufferEncoding, written: Written): void {
    super._write(chunk, encoding, delayError(this, written));
  }

  override _writev(chunks: { chunk: unknown; encoding: BufferEncoding }[], written: Written): void {
    super._writev?.(chunks, delayError(this, written));
  }
}

/** The same that reads into a buffer. */
export class DirectReadAfterWriteErrorSocket extends DirectSocket {
  override _write(chunk: unknown, encoding: BufferEncoding, written: Written): void {
    super._write(chunk, encoding, delayError(this, written));
  }

  override _writev(chunks: { chunk: unknown; encoding: BufferEncoding }[], written: Written): void {
    super._writev?.(chunks, delayError(this, written));
  }
}

/** Connects such a socket. */
export function connectReadingAfterWriteError(to: TcpNetConnectOpts | IpcNetConnectOpts): Socket {
  return new ReadAfterWriteErrorSocket({}).connect(to);
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
