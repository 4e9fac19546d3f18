// TLS at the built gateway's two sides: clients that never come to an end with their handshake or their head, sockets that
// come over TLS and go on plain, and backends whose certificate is, or is not, trusted. Which certificate a client gets is
// tls.test.ts.
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { makeSelfSigned } from '../../src/runtime/tls/self-signed.ts';
import { openClient, openRefused } from '../support/client.ts';
import { clientHelloOf } from '../support/client-hello.ts';
import { type Gateway, type GatewayFile, startGateway } from '../support/gateway.ts';
import { connectRaw, type RawConnection, readAnswer } from '../support/raw.ts';

const dir = mkdtempSync(join(tmpdir(), 'upgate-'));

/** A certificate for these names in files of the directory. */
function writePair(label: string, ...names: string[]) {
  const pair = makeSelfSigned(names, new Date());
  const files = { cert: join(dir, `${label}.crt`), key: join(dir, `${label}.key`) };
  writeFileSync(files.cert, pair.cert);
  writeFileSync(files.key, pair.key);
  return { ...files, pair };
}

/** A WebSocket server that sends every message back; by TLS with the pair given. */
async function startEcho(pair?: { cert: string; key: string }) {
  const sockets = new WebSocketServer({ noServer: true });
  const own = pair === undefined ? createHttpServer() : createHttpsServer(pair);
  own.on('upgrade', (req, socket: Socket, rest: Buffer) => {
    sockets.handleUpgrade(req, socket, rest, (client) =>
      client.on('message', (data, binary) => client.send(data, { binary })),
    );
  });
  await once(own.listen(0, '127.0.0.1'), 'listening');
  return {
    port: (own.address() as AddressInfo).port,
    close: () => {
      own.close();
      for (const client of sockets.clients) client.terminate();
    },
  };
}

type Echo = Awaited<ReturnType<typeof startEcho>>;

const HEAD_MS = 5000;
const HANDSHAKE_MS = 4000;
/** Between two bytes of a client that drips; every timer that a byte could restart would never end. */
const DRIP_MS = 100;
/** How much later than its timeout a connection may end: node looks once a second, and the machine may be busy. */
const LATE_MS = 10_000;

let plain: Echo;
let trusted: Echo;
let stranger: Echo;
let misnamed: Echo;
let gateway: Gateway;
let served: ReturnType<typeof writePair>;

const splice = (name: string): NonNullable<GatewayFile['routes']>[number] => ({
  name,
  match: { path: `/${name}` },
  websocket: { mode: 'splice', upstream: name, origins: 'any' },
});

beforeAll(async () => {
  served = writePair('served', 'gateway.example');
  const known = writePair('known', 'localhost');
  const other = writePair('other', 'other.example');
  writeFileSync(join(dir, 'ca.pem'), known.pair.cert + other.pair.cert);
  plain = await startEcho();
  trusted = await startEcho(known.pair);
  misnamed = await startEcho(other.pair);
  stranger = await startEcho(writePair('stranger', 'localhost').pair);
  gateway = await startGateway(
    {
      listeners: [
        {
          host: '127.0.0.1',
          port: 0,
          tls: { certificates: [{ cert: served.cert, key: served.key }] },
          timeouts: { head: `${HEAD_MS}ms`, tls_handshake: `${HANDSHAKE_MS}ms` },
        },
      ],
      upstreams: {
        plain: { servers: [`ws://127.0.0.1:${plain.port}`] },
        trusted: { servers: [`wss://127.0.0.1:${trusted.port}`] },
        named: { servers: [`wss://localhost:${trusted.port}`] },
        stranger: { servers: [`wss://127.0.0.1:${stranger.port}`] },
        misnamed: { servers: [`wss://127.0.0.1:${misnamed.port}`] },
      },
      routes: ['plain', 'trusted', 'named', 'stranger', 'misnamed'].map(splice),
    },
    { NODE_EXTRA_CA_CERTS: join(dir, 'ca.pem') },
  );
});

afterAll(async () => {
  expect(await gateway?.stop()).toBe(0);
  for (const echo of [plain, trusted, stranger, misnamed]) echo?.close();
  rmSync(dir, { recursive: true });
});

const url = (path: string) => `wss://127.0.0.1:${gateway.port}${path}`;
const open = (path: string) => openClient(url(path), { rejectUnauthorized: false });

/** Opens a session over TLS, sends a message there and back, and closes it. */
async function roundTrip(path: string, message: string): Promise<void> {
  const client = await open(path);
  client.socket.send(message);
  expect(await client.next()).toBe(message);
  await client.close();
}

/** Sends the bytes one at a time until the connection ends. */
function drip(connection: RawConnection, bytes: Buffer): void {
  let at = 0;
  const timer = setInterval(() => {
    if (at < bytes.length && connection.socket.writable) connection.write(bytes.subarray(at, ++at));
  }, DRIP_MS);
  connection.socket.once('close', () => clearInterval(timer));
}

const connectOverTls = () => connectRaw({ tls: true, port: gateway.port, rejectUnauthorized: false });

describe('a client that', () => {
  const SLOW: Record<string, { within: number; start: () => Promise<RawConnection>; answer: number | null }> = {
    'connects and says nothing': { within: HANDSHAKE_MS, answer: null, start: () => connectRaw(gateway.port) },
    'drips its ClientHello': {
      within: HANDSHAKE_MS,
      answer: null,
      start: async () => {
        const hello = await clientHelloOf({ host: '127.0.0.1' });
        expect(hello.length * DRIP_MS).toBeGreaterThan(HANDSHAKE_MS + LATE_MS);
        const connection = await connectRaw(gateway.port);
        drip(connection, hello);
        return connection;
      },
    },
    'stops within its ClientHello': {
      within: HANDSHAKE_MS,
      answer: null,
      start: async () => {
        const connection = await connectRaw(gateway.port);
        connection.write((await clientHelloOf({ host: '127.0.0.1' })).subarray(0, 100));
        return connection;
      },
    },
    'shakes hands and says nothing': { within: HEAD_MS, answer: null, start: connectOverTls },
    'shakes hands and drips its head': {
      within: HEAD_MS,
      answer: 408,
      start: async () => {
        const connection = await connectOverTls();
        drip(connection, Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(200)}`));
        return connection;
      },
    },
  };

  it.concurrent.each(Object.keys(SLOW))('%s is closed in its time, and others are served meanwhile', async (name) => {
    const { within, start, answer } = SLOW[name]!;
    const began = performance.now();
    const slow = await start();
    const ended = slow.closed(within + LATE_MS).then((end) => ({ ...end, after: performance.now() - began }));
    ended.catch(() => {});
    await roundTrip('/plain', name);
    expect(slow.socket.destroyed).toBe(false);
    const { bytes, after } = await ended;
    // A timer may fire a millisecond early.
    expect(after).toBeGreaterThan(within - 5);
    // A TLS server may say by an alert that it gives up.
    if (answer === null) expect(bytes.toString('latin1')).not.toContain('HTTP/');
    else expect(readAnswer(bytes).status).toBe(answer);
    slow.socket.destroy();
  });
});

describe('a session over TLS', () => {
  it('goes on plain to its backend, in every size', async () => {
    const client = await open('/plain');
    const large = Buffer.alloc(3 << 20, 'x');
    for (const message of ['hello', '', 'é€', large]) {
      client.socket.send(message);
      const back = await client.next();
      expect(Buffer.from(back).equals(Buffer.from(message))).toBe(true);
    }
    expect(await client.close(1000, 'done')).toEqual({ code: 1000, reason: 'done' });
  });

  it('that the client cuts leaves nothing behind', async () => {
    const client = await open('/plain');
    client.socket.terminate();
    await expect.poll(() => gateway.metric('websocket_connections', { route: 'plain', mode: 'splice' })).toBe(0);
    const labels = { upstream: 'plain', server: `ws://127.0.0.1:${plain.port}` };
    await expect.poll(() => gateway.metric('upstream_connections', labels)).toBe(0);
  });

  it('goes on over TLS where the backend’s certificate is trusted, by address and by name', async () => {
    await roundTrip('/trusted', 'by address');
    await roundTrip('/named', 'by name');
  });

  it.each([
    ['is nobody’s that is trusted', 'stranger', /self-signed certificate/],
    ['is for another name', 'misnamed', /does not match|altnames/],
  ])('is refused with 502 where the backend’s certificate %s', async (_, name, why) => {
    const refusal = await openRefused(url(`/${name}`), { rejectUnauthorized: false });
    expect([refusal.status, refusal.fields['x-gateway-reason']]).toEqual([502, 'backend_refused']);
    // The client is told no more than that.
    expect(refusal.body).not.toMatch(why);
    const failed = await gateway.log({ event: 'handshake_failed', route: name });
    expect(failed['detail']).toMatch(why);
    expect(await gateway.metric('upstream_errors_total', { upstream: name, reason: 'backend_refused' })).toBe(1);
  });
});

describe('a certificate that is swapped by SIGHUP', () => {
  it('moves its metric, is what the next client gets, and leaves a spliced session alone', async () => {
    const end = (file: { pair: { cert: string } }) =>
      new Date(new X509Certificate(file.pair.cert).validTo).getTime() / 1000;
    const metric = (...names: string[]) =>
      gateway.metric('tls_certificate_not_after_timestamp_seconds', {
        listener: '127.0.0.1:0',
        names: names.join(','),
      });
    const session = await open('/plain');
    expect(await metric('gateway.example')).toBe(end(served));

    // One that ends earlier, so that the metric has somewhere to move to.
    const early = makeSelfSigned(['gateway.example'], new Date(Date.now() - 30 * 86_400_000));
    writeFileSync(served.cert, early.cert);
    writeFileSync(served.key, early.key);
    gateway.signal('SIGHUP');
    await expect.poll(() => metric('gateway.example')).toBe(end({ pair: early }));
    expect(end({ pair: early })).toBeLessThan(end(served));

    const next = await connectOverTls();
    const seen = new X509Certificate((next.socket as TLSSocket).getPeerCertificate().raw);
    expect(seen.toString().trim()).toBe(early.cert.trim());
    next.socket.destroy();
    session.socket.send('still here');
    expect(await session.next()).toBe('still here');
    await session.close();

    // Of one that is out of service nothing is told any more: no alert would ever end.
    const renamed = makeSelfSigned(['renamed.example'], new Date());
    writeFileSync(served.cert, renamed.cert);
    writeFileSync(served.key, renamed.key);
    gateway.signal('SIGHUP');
    await expect.poll(() => metric('renamed.example')).toBe(end({ pair: renamed }));
    expect(await metric('gateway.example')).toBeUndefined();
  });
});
