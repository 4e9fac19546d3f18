// Reading plain sockets into one shared buffer and writing from another, in place of node's 64 KiB allocation for every
// read: measured, a 16 KiB message then costs about half. node offers this as the option `onread` of sockets that
// net.connect() makes; for those we are given, the same switch is found on a socket made so, and where it is not found (a
// node that has changed) sockets are read by `data` events as usual. TLS sockets are: what they read is not oversized.
import { Socket } from 'node:net';

const SIZE = 64 * 1024;

type Callback = (this: Socket, count: number, buffer: Buffer) => boolean;
type Switched = { [key: symbol]: unknown; _handle?: { useUserBuffer?: (buffer: Buffer) => void } | null };

export class SharedBuffers {
  readonly #keys = findSwitch();
  readonly #in = Buffer.allocUnsafeSlow(SIZE);
  /** Free between two writes; replaced where a socket has kept a part of it. */
  #out = Buffer.allocUnsafeSlow(SIZE);
  readonly #callback: Callback;

  /** `onRead` gets the bytes of every switched socket; they are gone when it returns. */
  constructor(onRead: (this: Socket, bytes: Buffer) => void) {
    this.#callback = function (count, buffer) {
      onRead.call(this, count === buffer.length ? buffer : buffer.subarray(0, count));
      return true;
    };
  }

  /** Has a socket, whose own buffer is empty, read into the shared one. False: it cannot; listen for `data`. */
  read(socket: Socket): boolean {
    const keys = this.#keys;
    const switched = socket as unknown as Switched;
    if (keys === null || 'encrypted' in socket || typeof switched._handle?.useUserBuffer !== 'function') return false;
    switched[keys.buffer] = this.#in;
    switched[keys.callback] = this.#callback;
    switched._handle.useUserBuffer(this.#in);
    return true;
  }

  /** Writes bytes that may stand in the shared buffer; what a socket cannot take at once is a copy of its own. */
  write(socket: Socket, bytes: Buffer): void {
    if (bytes.buffer !== this.#in.buffer) {
      socket.write(bytes);
      return;
    }
    // TLS, and a socket with a queue, keep what they are given.
    if (socket.writableLength > 0 || 'encrypted' in socket) {
      socket.write(Buffer.from(bytes));
      return;
    }
    const out = this.#out;
    out.set(bytes);
    socket.write(bytes.length === SIZE ? out : out.subarray(0, bytes.length));
    if (socket.writableLength > 0) this.#out = Buffer.allocUnsafeSlow(SIZE);
  }
}

/** The keys under which a socket keeps its `onread`, or null where they are not as expected. */
function findSwitch(): { buffer: symbol; callback: symbol } | null {
  const callback = () => true;
  const buffer = Buffer.alloc(1);
  const probe = new Socket({ onread: { buffer, callback } } as ConstructorParameters<typeof Socket>[0]);
  const held = probe as unknown as Switched;
  const plain = new Socket() as unknown as Switched;
  const named = (name: string) => Object.getOwnPropertySymbols(probe).find((key) => key.description === name);
  const [kBuffer, kCallback, kGenerator] = [named('kBuffer'), named('kBufferCb'), named('kBufferGen')];
  if (kBuffer === undefined || kCallback === undefined || kGenerator === undefined) return null;
  const asExpected = held[kBuffer] === buffer && held[kCallback] === callback && plain[kGenerator] === null;
  return asExpected ? { buffer: kBuffer, callback: kCallback } : null;
}
