// A client of HTTP/2 that sends exactly the bytes it is told to: for floods, malformed frames and how they are answered.
// Fields are written as literals without Huffman and without the dynamic table (RFC 7541 §6.2.2); of answers only the status is read.
import net from 'node:net';
import tls from 'node:tls';
import { ACK, END_HEADERS, END_STREAM, FRAME, frame, PREFACE } from './http2-frames.mjs';

export { ACK, END_HEADERS, END_STREAM, FRAME, frame, PREFACE };

/** Error codes of RFC 9113 §7. */
export const CODE = {
  none: 0,
  protocol: 1,
  internal: 2,
  flow: 3,
  refused: 7,
  cancel: 8,
  calm: 11,
} as const;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export function uint32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, i) => {
    bytes.writeUInt32BE(value >>> 0, 4 * i);
  });
  return bytes;
}

/** A SETTINGS frame of these (id, value) pairs. */
export function settings(...pairs: (readonly [number, number])[]): Buffer {
  const bytes = Buffer.alloc(6 * pairs.length);
  pairs.forEach(([id, value], i) => {
    bytes.writeUInt16BE(id, 6 * i);
    bytes.writeUInt32BE(value >>> 0, 6 * i + 2);
  });
  return frame(FRAME.settings, 0, 0, bytes);
}

/** An integer with a prefix of so many bits (RFC 7541 §5.1). */
function integer(value: number, bits: number): Buffer {
  const most = 2 ** bits - 1;
  if (value < most) return Buffer.from([value]);
  const bytes = [most];
  let rest = value - most;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** Fields as a header block, octets as they are. */
export function block(fields: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([name, value]) => {
      const [n, v] = [Buffer.from(name, 'latin1'), Buffer.from(value, 'latin1')];
      return [Buffer.from([0]), integer(n.length, 7), n, integer(v.length, 7), v];
    }),
  );
}

/** The head of a GET; `more` stands behind the pseudo-fields, `pseudo` in place of or beside the usual ones. */
export function getFields(
  path: string,
  more: readonly (readonly [string, string])[] = [],
  pseudo: Readonly<Record<string, string>> = {},
): [string, string][] {
  const usual: Record<string, string> = {
    ':method': 'GET',
    ':scheme': 'https',
    ':authority': 'localhost',
    ':path': path,
  };
  const all = { ...usual, ...pseudo };
  return [...Object.entries(all), ...more.map(([name, value]): [string, string] => [name, value])];
}

/** A HEADERS frame with the whole head. */
export function headers(stream: number, fields: readonly (readonly [string, string])[], flags = END_STREAM): Buffer {
  return frame(FRAME.headers, flags | END_HEADERS, stream, block(fields));
}

export class RawHttp2 {
  readonly socket: net.Socket;
  readonly frames: Frame[] = [];
  closed = false;
  #held = Buffer.alloc(0);
  #waiting: (() => void)[] = [];

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('error', () => {});
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
  }

  /** Connects by TLS with ALPN `h2`, and sends nothing yet. */
  static async tls(port: number, options: tls.ConnectionOptions = {}): Promise<RawHttp2> {
    const socket = tls.connect({
      host: '127.0.0.1',
      port,
      ALPNProtocols: ['h2'],
      rejectUnauthorized: false,
      servername: 'localhost',
      ...options,
    });
    await new Promise<void>((resolve, fail) => socket.once('secureConnect', resolve).once('error', fail));
    return new RawHttp2(socket);
  }

  static async plain(port: number): Promise<RawHttp2> {
    const socket = net.connect({ host: '127.0.0.1', port });
    await new Promise<void>((resolve, fail) => socket.once('connect', resolve).once('error', fail));
    return new RawHttp2(socket);
  }

  /** Sends the preface and SETTINGS, acknowledges the server's, and returns once that has come. */
  async begin(...pairs: (readonly [number, number])[]): Promise<this> {
    this.socket.write(Buffer.concat([PREFACE, settings(...pairs)]));
    await this.next((one) => one.type === FRAME.settings && (one.flags & ACK) === 0);
    this.socket.write(frame(FRAME.settings, ACK, 0));
    return this;
  }

  write(...bytes: Buffer[]): void {
    this.socket.write(Buffer.concat(bytes));
  }

  /** The first frame that fits, of those that have come and those to come; null: the connection ended before. */
  async next(fits: (frame: Frame) => boolean): Promise<Frame | null> {
    for (let seen = 0; ; ) {
      for (; seen < this.frames.length; seen++) {
        const one = this.frames[seen] as Frame;
        if (fits(one)) return one;
      }
      if (this.closed) return null;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** How a stream was answered: a status, or `RST n`, or how the connection ended: `GOAWAY n`, `closed`. */
  async outcome(stream: number): Promise<string> {
    const found = await this.next(
      ({ type, stream: of }) =>
        (of === stream && (type === FRAME.headers || type === FRAME.reset)) || type === FRAME.goaway,
    );
    if (found === null) return 'closed';
    if (found.type === FRAME.headers) return statusOf(found.payload);
    if (found.type === FRAME.reset) return `RST ${found.payload.readUInt32BE(0)}`;
    return `GOAWAY ${found.payload.readUInt32BE(4)}`;
  }

  /** Resolves when the server has closed the connection; with the code of its first GOAWAY, or null. */
  async ended(): Promise<number | null> {
    await this.next(() => false);
    const goaway = this.frames.find(({ type }) => type === FRAME.goaway);
    return goaway === undefined ? null : goaway.payload.readUInt32BE(4);
  }

  #take(chunk: Buffer): void {
    this.#held = Buffer.concat([this.#held, chunk]);
    while (this.#held.length >= 9) {
      const length = this.#held.readUIntBE(0, 3);
      if (this.#held.length < 9 + length) break;
      this.frames.push({
        type: this.#held[3] as number,
        flags: this.#held[4] as number,
        stream: this.#held.readUInt32BE(5) & 0x7fffffff,
        payload: Buffer.from(this.#held.subarray(9, 9 + length)),
      });
      this.#held = this.#held.subarray(9 + length);
    }
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

/** Statuses of the static table (RFC 7541, Appendix A), and Huffman codes of digits (Appendix B). */
const STATIC = ['200', '204', '206', '304', '400', '404', '500'];
const DIGITS: readonly (readonly [string, string])[] = [
  ['00000', '0'],
  ['00001', '1'],
  ['00010', '2'],
  ['011001', '3'],
  ['011010', '4'],
  ['011011', '5'],
  ['011100', '6'],
  ['011101', '7'],
  ['011110', '8'],
  ['011111', '9'],
];

/** The status, which is the first field of every answer. */
function statusOf(payload: Buffer): string {
  let at = 0;
  // Updates of the table's size may stand before it.
  while (((payload[at] ?? 0) & 0xe0) === 0x20) at++;
  const first = payload[at] as number;
  if (first >= 0x88 && first <= 0x8e) return STATIC[first - 0x88] as string;
  if (first >= 0x80) return `dynamic ${first & 0x7f}`;
  const length = payload[at + 1] as number;
  const text = payload.subarray(at + 2, at + 2 + (length & 0x7f));
  if (length < 0x80) return text.toString('latin1');
  let bits = [...text].map((octet) => octet.toString(2).padStart(8, '0')).join('');
  let status = '';
  while (status.length < 3) {
    const found = DIGITS.find(([code]) => bits.startsWith(code));
    if (found === undefined) return 'unreadable';
    status += found[1];
    bits = bits.slice(found[0].length);
  }
  return status;
}
