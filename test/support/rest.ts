// A REST backend on node:http for tests of plain HTTP: it tells what it was asked, streams both ways, and answers 404.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What `/seen/…` answers about the request it got. */
export interface Seen {
  readonly method: string;
  readonly target: string;
  readonly httpVersion: string;
  /** Flat, as received. */
  readonly rawHeaders: readonly string[];
  readonly length: number;
  readonly sha256: string;
}

export interface RestServer {
  readonly port: number;
  /** How many requests have come. */
  readonly count: () => number;
  close(): void;
}

async function read(req: IncomingMessage): Promise<Seen> {
  const hash = createHash('sha256');
  let length = 0;
  for await (const chunk of req) {
    hash.update(chunk as Buffer);
    length += (chunk as Buffer).length;
  }
  const { method = '', url: target = '', httpVersion, rawHeaders } = req;
  return { method, target, httpVersion, rawHeaders, length, sha256: hash.digest('hex') };
}

async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
  const url = new URL(req.url ?? '/', 'http://rest');
  if (url.pathname.startsWith('/seen')) {
    const text = JSON.stringify(await read(req));
    res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) }).end(text);
  } else if (url.pathname === '/chunked') {
    res.writeHead(200, { 'Content-Type': 'text/plain', Trailer: 'X-Sum' });
    for (const part of ['one ', 'two ', 'three']) res.write(part);
    res.addTrailers({ 'X-Sum': '3' });
    res.end();
  } else if (url.pathname === '/mirror') {
    res.writeHead(200, { 'Content-Type': 'application/octet-stream' });
    req.pipe(res);
  } else if (url.pathname === '/empty') {
    res.writeHead(204).end();
  } else {
    res.writeHead(404, { 'Content-Type': 'text/plain' }).end('nothing here\n');
  }
}

/** Listens on a free port of 127.0.0.1. */
export async function startRest(): Promise<RestServer> {
  let count = 0;
  const server = createServer((req, res) => {
    count++;
    answer(req, res).catch(() => res.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    count: () => count,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
