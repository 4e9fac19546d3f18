// node's own server over bytes, without a network: as the second opinion on what a request is.
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
