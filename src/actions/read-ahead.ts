// What a client sends behind its handshake before there is a 101, and whether it has left meanwhile. The connection has to
// be read for that: node reports a FIN only while it reads.

import { guarded } from '../base/guard.ts';
import type { ClientClosed } from '../net/client-closed.ts';
import type { StreamConnection } from '../net/fd-connection.ts';
import { startReading } from './reject.ts';

/** Bytes that are read ahead, at most. Behind more of them a client's leaving is noticed when the handshake is over. */
const MOST = 64 * 1024;

export class ReadAhead {
  readonly #parts: Buffer[] = [];
  #size = 0;
  #socket: StreamConnection | null = null;
  #clientClosed: ClientClosed | null = null;

  /** `rest` was read along with the head. */
  constructor(rest: Buffer) {
    this.#keep(rest);
  }

  /** Whether nothing has come. */
  get empty(): boolean {
    return this.#size === 0;
  }

  /**
   * Reads from here on, until take(); does nothing where it reads already. Notifies `clientClosed` when the connection closes,
   * and when the client ends its side: no WebSocket client does so before its 101, so it has left, and its connection is
   * closed.
   */
  watch(socket: StreamConnection, clientClosed: ClientClosed): void {
    if (this.#socket !== null) return;
    this.#socket = socket;
    this.#clientClosed = clientClosed;
    socket.on('close', this.#onClose).on('end', this.#onEnd).on('data', this.#onData);
    // A socket that has read the FIN already emits no `end` again.
    if (socket.readableEnded || socket.destroyed) this.#onEnd();
    // Its owner before may have stopped reading.
    else if (this.#size < MOST) startReading(socket);
    else socket.pause();
  }

  /** Everything that was read behind the head, once; the connection is not read or watched any more. */
  take(): Buffer {
    const socket = this.#socket;
    this.#socket = null;
    if (socket !== null) {
      socket.off('close', this.#onClose).off('end', this.#onEnd).off('data', this.#onData);
      if (!socket.destroyed) socket.pause();
    }
    const parts = this.#parts.splice(0);
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }

  #keep(part: Buffer): void {
    if (part.length > 0) this.#parts.push(part);
    this.#size += part.length;
  }

  readonly #onData = guarded('handshake', (part: Buffer) => {
    this.#keep(part);
    if (this.#size >= MOST) this.#socket?.pause();
  });

  readonly #onEnd = guarded('handshake', () => {
    const socket = this.#socket;
    socket?.destroy();
    this.#clientClosed?.notify();
  });

  readonly #onClose = guarded('handshake', () => {
    this.#clientClosed?.notify();
  });
}
