// node's own parsers over bytes, without a network: as the second opinion on what a request or an answer is.
import http from 'node:http';
import { Duplex } from 'node:stream';

/** A connection that gives the bytes it is told to, and takes any. */
class Line extends Duplex {
  override _read(): void {}
  override _write(_chunk: unknown, _encoding: unknown, done: () => void): void {
    done();
  }
  setTimeout(): this {
    return this;
  }
  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
}

const turn = () => new Promise<void>((done) => setImmediate(done));

export interface NodeRequests {
  /** The first request that node's server makes of the bytes; null where it makes none. */
  read(bytes: Buffer): Promise<http.IncomingMessage | null>;
  close(): void;
}

/** A server that is told of connections instead of listening, with the options of the gateway's own. */
export function openNodeRequests(): NodeRequests {
  let first: http.IncomingMessage | null = null;
  const take = (request: http.IncomingMessage): void => {
    first ??= request;
  };
  const server = http.createServer({ requireHostHeader: false });
  server.maxHeadersCount = 0;
  for (const event of ['request', 'checkContinue', 'checkExpectation', 'upgrade', 'connect']) server.on(event, take);
  server.on('clientError', () => {});
  return {
    close: () => server.close(),
    async read(bytes) {
      first = null;
      const line = new Line();
      line.on('error', () => {});
      server.emit('connection', line);
      line.push(bytes);
      await turn();
      line.destroy();
      return first;
    },
  };
}

export interface NodeAnswer {
  readonly status: number;
  readonly version: string;
  readonly phrase: string;
  readonly rawHeaders: readonly string[];
  /** Null where the body was not read to its end. */
  readonly body: Buffer | null;
}

/** What node's client makes of the bytes as an answer to a handshake; null where it takes them for none. */
export async function readNodeAnswer(bytes: Buffer): Promise<NodeAnswer | null> {
  const line = new Line();
  line.on('error', () => {});
  const parts: Buffer[] = [];
  let answer: http.IncomingMessage | null = null;
  let upgraded = false;
  const request = http.get({
    createConnection: () => line as never,
    headers: { connection: 'Upgrade', upgrade: 'websocket' },
  });
  // It would drop what is past its limit, and say nothing.
  request.maxHeadersCount = 0;
  request.on('error', () => {});
  request.on('response', (message) => {
    answer ??= message;
    message.on('error', () => {}).on('data', (part: Buffer) => parts.push(part));
  });
  request.on('upgrade', (message) => {
    // Behind an answer there may stand what looks like another.
    upgraded = answer === null;
    answer ??= message;
  });
  await turn();
  line.push(bytes);
  await turn();
  await turn();
  const read = answer as http.IncomingMessage | null;
  const body = read !== null && !upgraded && read.complete ? Buffer.concat(parts) : null;
  request.destroy();
  line.destroy();
  if (read === null) return null;
  return {
    status: read.statusCode ?? 0,
    version: read.httpVersion,
    phrase: read.statusMessage ?? '',
    rawHeaders: read.rawHeaders,
    body,
  };
}
