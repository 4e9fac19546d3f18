// Reading sockets into one shared buffer and writing from a few that are used over and over, in place of an allocation of
// node's for every read and write: those are memory outside of V8's heap, which hurries it into collecting the heap;
// measured, half of the time of a large message. node offers the reading as the option `onread` of sockets that
// net.connect() and tls.connect() make, and node-internals.ts for those we are given. Where a node has changed, sockets are
// read by `data` events as usual.
import type { StreamConnection } from '../../net/fd-connection.ts';
import { findReadInto, type ReadCallback } from '../../net/node-internals.ts';

const SIZE = 64 * 1024;
/** As much as a copy may have that comes from node's own pool and needs no allocation. */
const SMALL = 2048;
/** Buffers for writing that are kept while they are free. */
const KEPT = 64;

/** A buffer to write from, and what its socket calls when it is free again. */
interface Slot {
  readonly buffer: Buffer;
  readonly release: () => void;
}

export class SharedBuffers {
  readonly #readInto = findReadInto();
  readonly #in = Buffer.allocUnsafeSlow(SIZE);
  /** Its first bytes, by how many they are: small messages are often of one length. */
  readonly #heads: (Buffer | undefined)[] = new Array<undefined>(SMALL + 1).fill(undefined);
  /** The shared buffer holds what was read. */
  #reading = false;
  readonly #free: Slot[] = [];
  readonly #callback: ReadCallback;

  /** `onRead` gets the bytes of every switched socket; they are valid until it returns. */
  constructor(onRead: (this: StreamConnection, bytes: Buffer) => void) {
    const take = (socket: StreamConnection, count: number): void => {
      const before = this.#reading;
      this.#reading = true;
      onRead.call(socket, this.#head(count));
      this.#reading = before;
    };
    this.#callback = function (count) {
      take(this, count);
      return true;
    };
  }

  #head(count: number): Buffer {
    if (count === SIZE) return this.#in;
    if (count > SMALL) return this.#in.subarray(0, count);
    const known = this.#heads[count];
    if (known !== undefined) return known;
    const head = this.#in.subarray(0, count);
    this.#heads[count] = head;
    return head;
  }

  /** Has a socket, whose own buffer is empty, read into the shared one. False: it cannot; listen for `data`. */
  read(socket: StreamConnection): boolean {
    return this.#readInto?.(socket, this.#in, this.#callback) ?? false;
  }

  /** Writes bytes that may stand in the shared buffer, which the socket must not keep; returns what its write() does. */
  write(socket: StreamConnection, bytes: Buffer): boolean {
    if (!this.#reading) return socket.write(bytes);
    const { length } = bytes;
    // Of what waits, few bytes must not hold a whole buffer.
    if (length <= SMALL || (length < SIZE / 2 && socket.writableLength > 0)) {
      const copy = Buffer.allocUnsafe(length);
      copy.set(bytes);
      return socket.write(copy);
    }
    const { buffer, release } = this.#free.pop() ?? this.#slot();
    buffer.set(bytes);
    return socket.write(length === SIZE ? buffer : buffer.subarray(0, length), release);
  }

  #slot(): Slot {
    const slot: Slot = {
      buffer: Buffer.allocUnsafeSlow(SIZE),
      release: () => {
        if (this.#free.length < KEPT) this.#free.push(slot);
      },
    };
    return slot;
  }
}
