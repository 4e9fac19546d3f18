// Bytes of a client, through a whole gateway in this process, to a backend on loopback. Whatever comes: the connection comes
// to its end, and what reaches the backend is whole requests, each with the fields that are the gateway's to set, and no
// more of them than the client can have meant.
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App } from '../../../src/app.ts';
import { closedPort } from '../../support/scripted.ts';
import { promise, type Target } from '../target.ts';
import { readStrictly } from './head.ts';

/** How long a connection may take to its end once the client has sent all and its FIN. */
const END_MS = 20_000;
const QUIET_MS = 5;

interface Backend {
  readonly port: number;
  /** How many requests have come whole since the last call; throws where something else came. */
  requests(): number;
  close(): void;
}

/** Where the body of a request ends, or -1 where it has not come whole. */
function bodyEnd(fields: ReadonlyMap<string, string>, bytes: Buffer): number {
  const length = fields.get('content-length');
  if (!fields.has('transfer-encoding')) {
    promise(length === undefined || /^\d+$/.test(length), 'the backend gets a length that is none');
    return Number(length ?? 0) <= bytes.length ? Number(length ?? 0) : -1;
  }
  promise(length === undefined, 'the backend gets a length and a coding');
  promise(fields.get('transfer-encoding') === 'chunked', 'the backend gets another coding than chunked');
  for (let at = 0; ; ) {
    const line = bytes.indexOf('\r\n', at);
    if (line === -1) return -1;
    const size = bytes.toString('latin1', at, line);
    promise(/^[0-9a-f]+$/i.test(size), `the backend gets a chunk of size ${JSON.stringify(size)}`);
    const end = line + 2 + Number.parseInt(size, 16);
    if (Number.parseInt(size, 16) === 0) {
      const last = bytes.indexOf('\r\n\r\n', line);
      return last === -1 ? -1 : last + 4;
    }
    if (bytes.length < end + 2) return -1;
    promise(bytes.toString('latin1', end, end + 2) === '\r\n', 'the backend gets a chunk that does not end');
    at = end + 2;
  }
}

/** Takes the first whole request off what a backend got: its length and whether it is a handshake, or null. */
function takeRequest(bytes: Buffer): { length: number; upgrade: boolean } | null {
  const end = bytes.indexOf('\r\n\r\n');
  if (end === -1) return null;
  const { fields } = readStrictly(bytes.toString('latin1', 0, end + 4));
  const names = fields.flatMap((name, i) => (i % 2 === 0 ? [name.toLowerCase()] : []));
  const of = new Map(names.map((name, i) => [name, fields[2 * i + 1] as string]));
  for (const name of ['host', 'content-length', 'transfer-encoding', 'x-forwarded-for', 'x-request-id', 'upgrade'])
    promise(names.filter((other) => other === name).length <= 1, `the backend gets ${name} twice`);
  promise(of.get('x-forwarded-for') === '127.0.0.1', 'the backend is told of another client');
  promise(of.has('x-request-id'), 'the backend gets no id');
  promise((of.get('upgrade') ?? 'websocket') === 'websocket', 'the backend gets another upgrade');
  promise(!names.includes('x-real-ip') && !names.includes('forwarded'), 'a claim of the client reaches the backend');
  const body = bodyEnd(of, bytes.subarray(end + 4));
  return body === -1 ? null : { length: end + 4 + body, upgrade: of.has('upgrade') };
}

async function openBackend(): Promise<Backend> {
  let count = 0;
  let wrong: Error | null = null;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    let held: Buffer = Buffer.alloc(0);
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    socket.on('data', (chunk) => {
      held = Buffer.concat([held, chunk]);
      try {
        for (let of = takeRequest(held); of !== null; of = takeRequest(held)) {
          held = held.subarray(of.length);
          count++;
          socket.write(`HTTP/1.1 ${of.upgrade ? '403 No' : '200 OK'}\r\nContent-Length: 0\r\n\r\n`);
        }
      } catch (error) {
        wrong ??= error as Error;
        socket.destroy();
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    requests() {
      const [was, error] = [count, wrong];
      count = 0;
      wrong = null;
      if (error) throw error;
      return was;
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** Sends all, and in the end a FIN; gives the status lines of what comes until the other side's end. */
async function talk(port: number, input: Buffer): Promise<string[]> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  const chunks: Buffer[] = [];
  // node gives a client up at its FIN, so that comes when nothing more does.
  const quiet = setTimeout(() => socket.end(), QUIET_MS);
  socket
    .on('error', () => {})
    .on('data', (chunk) => {
      chunks.push(chunk);
      quiet.refresh();
    });
  socket.on('end', () => socket.destroy());
  socket.write(input);
  const timer = setTimeout(() => socket.destroy(new Error('late')), END_MS);
  await new Promise((closed) => socket.once('close', closed));
  clearTimeout(timer);
  clearTimeout(quiet);
  promise(socket.errored?.message !== 'late', 'a connection never comes to its end');
  const text = Buffer.concat(chunks).toString('latin1');
  promise(text === '' || /^HTTP\/1\.1 [2-5]\d\d |^HTTP\/1\.1 10[03] /.test(text), 'an answer does not begin as one');
  return text.match(/^HTTP\/1\.1 \d\d\d/gm) ?? [];
}

async function openGateway(backend: Backend): Promise<{ port: number; close(): void }> {
  const port = await closedPort();
  const folder = mkdtempSync(join(tmpdir(), 'upgate-'));
  const file = join(folder, 'gateway.yaml');
  const servers = [`http://127.0.0.1:${backend.port}`];
  const route = {
    name: 'all',
    websocket: { mode: 'splice', upstream: 'all', origins: 'any' },
    http: { upstream: 'all' },
  };
  const config = {
    listeners: [{ host: '127.0.0.1', port }],
    admin: { port: 0 },
    upstreams: { all: { servers } },
    routes: [route],
    relay: { engine: 'js' },
    log: { level: 'error', access: false },
  };
  writeFileSync(file, JSON.stringify(config));
  const app = new App({
    file,
    env: {},
    version: 'fuzz',
    demo: false,
    interactive: false,
    print: () => {},
    drain: () => {},
  });
  await app.start();
  return {
    port,
    close: () => {
      rmSync(folder, { recursive: true, force: true });
      void app.stop();
    },
  };
}

export const wire: Target = {
  name: 'wire',
  words: [
    'GET / HTTP/1.1\r\n',
    'POST /a HTTP/1.1\r\n',
    'GET / HTTP/1.0\r\n',
    ' HTTP/1.1\r\n',
    '\r\n',
    '\r\n\r\n',
    '\n',
    '\r',
    ' ',
    '\t',
    ':',
    '\0',
    'Host: a\r\n',
    'Host: b\r\n',
    'Content-Length: 5\r\n',
    'Content-Length: 0\r\n',
    'Content-Length: 3\r\n',
    'Transfer-Encoding: chunked\r\n',
    'Transfer-Encoding: xchunked\r\n',
    'Transfer-Encoding: chunked, chunked\r\n',
    '5\r\nhello\r\n',
    '0\r\n\r\n',
    '0\r\nX: y\r\n\r\n',
    ';a=b',
    'hello',
    'Connection: close\r\n',
    'Connection: Upgrade\r\n',
    'Connection: Transfer-Encoding\r\n',
    'Upgrade: websocket\r\n',
    'Upgrade: h2c\r\n',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n',
    'Expect: 100-continue\r\n',
    'X-Forwarded-For: 6.6.6.6\r\n',
    'X_Forwarded_For: 6.6.6.6\r\n',
    'X-Real-IP: 6.6.6.6\r\n',
    'Forwarded: for=6.6.6.6\r\n',
    'X-Request-Id: x\r\n',
    'TE: trailers\r\n',
    'HEAD',
    'CONNECT a:1',
    'http://b/',
    '\x80',
  ],
  longest: 4096,
  open: async () => {
    const backend = await openBackend();
    // Over all inputs: what a client leaves behind may reach the backend a little later.
    let [meant, got] = [0, 0];
    const gateway = await openGateway(backend);
    return {
      close: () => {
        gateway.close();
        backend.close();
      },
      async check(input) {
        const answers = await talk(gateway.port, input);
        const requests = backend.requests();
        meant += input.toString('latin1').match(/HTTP\/1\.[01]/g)?.length ?? 0;
        got += requests;
        promise(got <= meant, `the backend gets ${got} requests of ${meant}`);
        return `${Math.min(requests, 3)} ${[...new Set(answers)].join(' ')}`;
      },
    };
  },
};
