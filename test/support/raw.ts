// A TCP client that sends and sees exact bytes, and the heads of handshakes written by hand. Not a WebSocket client:
// frames are in frames.ts.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectSocket, type NetConnectOpts, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { Http1OverHttp2 } from './http1-over-http2.ts';
import { TEST_TIMEOUT_MS } from './test-timeout.ts';

export interface RawConnection {
  readonly socket: Socket;
  /** Everything received so far. */
  received(): Buffer;
  write(data: string | Uint8Array): void;
  /** Sends a FIN. */
  end(): void;
  /** Sends a RST. */
  reset(): void;
  /** Waits until `enough` holds of everything received; a string: until it has come. Rejects at the connection's end. */
  until(enough: string | ((received: Buffer) => boolean), timeoutMs?: number): Promise<Buffer>;
  /** Waits for the other side's end, and tells whether it came as FIN or RST. */
  closed(timeoutMs?: number): Promise<{ how: 'fin' | 'reset'; bytes: Buffer }>;
}

/** A port on 127.0.0.1, or where to connect; with `http2` what is written as HTTP/1.1 crosses the wire as HTTP/2. */
export type RawTarget =
  | number
  | NetConnectOpts
  | ({ readonly http2: true } & NetConnectOpts)
  | ({ tls: true } & ConnectionOptions);

/** Connects; a number is a port on 127.0.0.1. The other side's FIN does not end our side. */
export async function connectRaw(target: RawTarget): Promise<RawConnection> {
  const socket = open(target);
  const chunks: Buffer[] = [];
  let over: 'fin' | 'reset' | undefined;
  socket.on('data', (chunk) => {
    chunks.push(chunk);
    socket.emit('raw-progress');
  });
  const finish = (how: 'fin' | 'reset') => {
    over ??= how;
    socket.emit('raw-progress');
  };
  socket.once('end', () => finish('fin'));
  socket.once('close', () => finish('fin'));
  await once(socket, isTls(target) ? 'secureConnect' : 'connect');
  socket.on('error', () => finish('reset'));
  const received = () => Buffer.concat(chunks);
  const wait = <T>(test: () => T | undefined, what: string, timeoutMs: number): Promise<T> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => settle(() => reject(failure(`${timeoutMs} ms passed`))), timeoutMs);
      const failure = (why: string) =>
        new Error(`${why} while waiting for ${what}; received ${JSON.stringify(received().toString('latin1'))}`);
      const settle = (act: () => void) => {
        clearTimeout(timer);
        socket.off('raw-progress', look);
        act();
      };
      const look = () => {
        const value = test();
        if (value !== undefined) settle(() => resolve(value));
        else if (over) settle(() => reject(failure(`the connection ended (${over})`)));
      };
      socket.on('raw-progress', look);
      look();
    });
  return {
    socket,
    received,
    write: (data) => void socket.write(data),
    end: () => void socket.end(),
    reset: () => void socket.resetAndDestroy(),
    until: (enough, timeoutMs = TEST_TIMEOUT_MS) => {
      const test = typeof enough === 'string' ? (bytes: Buffer) => bytes.includes(enough) : enough;
      return wait(() => (test(received()) ? received() : undefined), `bytes (${String(enough)})`, timeoutMs);
    },
    closed: (timeoutMs = TEST_TIMEOUT_MS) => wait(() => over && { how: over, bytes: received() }, 'the end', timeoutMs),
  };
}

const isTls = (target: RawTarget): target is { tls: true } & ConnectionOptions =>
  typeof target === 'object' && 'tls' in target;

function open(target: RawTarget): Socket {
  if (typeof target === 'number') return connectSocket({ port: target, host: '127.0.0.1', allowHalfOpen: true });
  // It has what tests use of a socket.
  if ('http2' in target) return new Http1OverHttp2(target) as unknown as Socket;
  if (isTls(target)) return connectTls({ host: '127.0.0.1', ...target });
  return connectSocket({ ...target, allowHalfOpen: true });
}

/** Connects, sends, and gives all that came until the other side's end. */
export async function exchange(target: RawTarget, data: string | Uint8Array): Promise<Buffer> {
  const connection = await connectRaw(target);
  connection.write(data);
  const { bytes } = await connection.closed();
  connection.socket.destroy();
  return bytes;
}

/** The key of RFC 6455 §1.3 and its accept key. */
export const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
export const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';

/** The accept key of RFC 6455 §4.2.2. */
export const acceptOf = (key: string): string =>
  createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');

/** A valid handshake, with fields changed: a string replaces, an array repeats, null leaves out. */
export function handshake(
  changes: Readonly<Record<string, string | readonly string[] | null>> = {},
  startLine = 'GET /ws HTTP/1.1',
): string {
  const fields: Record<string, string | readonly string[] | null> = {
    Host: 'gateway.test',
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': KEY,
    'Sec-WebSocket-Version': '13',
    ...changes,
  };
  const lines = Object.entries(fields).flatMap(([name, value]) =>
    value === null ? [] : [value].flat().map((one) => `${name}: ${one}`),
  );
  return [startLine, ...lines, '', ''].join('\r\n');
}

export interface RawAnswer {
  readonly statusLine: string;
  readonly status: number;
  /** The fields in order, as sent. */
  readonly fields: readonly (readonly [string, string])[];
  readonly body: string;
}

/** Takes an answer apart that ended with the connection. */
export function readAnswer(bytes: Buffer): RawAnswer {
  const text = bytes.toString('latin1');
  const split = text.indexOf('\r\n\r\n');
  if (split < 0) throw new Error(`no whole head in ${JSON.stringify(text)}`);
  const [statusLine = '', ...lines] = text.slice(0, split).split('\r\n');
  const fields = lines.map((line) => {
    const colon = line.indexOf(': ');
    return [line.slice(0, colon), line.slice(colon + 2)] as const;
  });
  return { statusLine, status: Number(statusLine.split(' ')[1]), fields, body: text.slice(split + 4) };
}
