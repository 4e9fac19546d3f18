// TLS by the relay's threads beside TLS by node: one table over both, and what passes between them. Tunnels whose TLS is the
// threads' go through the whole suite of the relay in relay-native.test.ts.
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect as netConnect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADDON } from '../../src/relay/native/addon.ts';
import { makeSelfSigned } from '../../src/runtime/tls/self-signed.ts';
import { openClient } from '../support/client.ts';
import { clientHelloOf } from '../support/client-hello.ts';
import { type EchoServer, startEcho } from '../support/echo.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { connectRaw } from '../support/raw.ts';
import { type RestServer, startRest } from '../support/rest.ts';
import { startTap } from '../support/tap.ts';

const dir = mkdtempSync(join(tmpdir(), 'upgate-engines-'));
const ENGINES = ['native', 'node'] as const;
type Engine = (typeof ENGINES)[number];
const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;
const portOf = (engine: Engine) => gateway.ports[ENGINES.indexOf(engine)]!;

let gateway: Gateway;
let echo: EchoServer;
let rest: RestServer;

function writePair(label: string, ...names: string[]) {
  const { cert, key } = makeSelfSigned(names, new Date());
  const files = { cert: join(dir, `${label}.crt`), key: join(dir, `${label}.key`) };
  writeFileSync(files.cert, cert);
  writeFileSync(files.key, key);
  return files;
}

const listenerOf = (engine: Engine) => ({
  host: '127.0.0.1',
  port: 0,
  tls: { engine, certificates: [writePair('app', 'app.example'), writePair('wild', '*.wild.example')] },
  timeouts: { tls_handshake: '600ms' },
});

beforeAll(async () => {
  [echo, rest] = await Promise.all([startEcho(), startRest()]);
  gateway = await startGateway({
    listeners: ENGINES.map(listenerOf),
    log: { level: 'debug' },
    upstreams: {
      echo: { servers: [`http://127.0.0.1:${echo.port}`] },
      rest: { servers: [`http://127.0.0.1:${rest.port}`] },
    },
    routes: [
      { name: 'splice', match: { path: '/splice' }, websocket: { mode: 'splice', upstream: 'echo' } },
      { name: 'echo', match: { path: '/echo' }, websocket: { mode: 'terminate', handler: 'echo' } },
      { name: 'rest', http: { upstream: 'rest' } },
    ],
  });
});
afterAll(async () => {
  expect(await gateway.stop()).toBe(0);
  echo.close();
  rest.close();
  rmSync(dir, { recursive: true });
});

async function shakeHands(engine: Engine, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port: portOf(engine), rejectUnauthorized: false, ...options });
  socket.on('error', () => {});
  await once(socket, 'secureConnect');
  return socket;
}

/** What both engines are to do alike: the protocol, the certificate, ALPN; or the code of the error. */
async function told(engine: Engine, options: ConnectionOptions): Promise<string> {
  try {
    const socket = await shakeHands(engine, options);
    const said = `${socket.getProtocol()} ${socket.getPeerX509Certificate()?.subjectAltName} ${socket.alpnProtocol}`;
    socket.destroy();
    return said;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

/** The type and length of each record. */
function recordsOf(bytes: Buffer): [number, number][] {
  const records: [number, number][] = [];
  for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt16BE(at + 3))
    records.push([bytes[at]!, bytes.readUInt16BE(at + 3)]);
  return records;
}

/** Both have port 0 in the config, which is their name. */
const listener = '127.0.0.1:0';
const ended = async (engine: Engine, result: string) =>
  (await gateway.metric('tls_handshakes_total', { listener, engine, result })) ?? 0;

describe.skipIf(!existsSync(ADDON))('TLS by either engine', () => {
  describe.each(VERSIONS)('over %s', (version) => {
    const versions = { minVersion: version, maxVersion: version };
    it.each<[string, ConnectionOptions, string]>([
      ['a name of its own', { servername: 'app.example' }, `${version} DNS:app.example false`],
      ['a name in capitals', { servername: 'APP.Example' }, `${version} DNS:app.example false`],
      ['a name under a wildcard', { servername: 'a.wild.example' }, `${version} DNS:*.wild.example false`],
      ['a name two labels under it', { servername: 'a.b.wild.example' }, `${version} DNS:app.example false`],
      ['no name', {}, `${version} DNS:app.example false`],
      ['http/1.1 by ALPN', { ALPNProtocols: ['foo', 'http/1.1'] }, `${version} DNS:app.example http/1.1`],
      ['a protocol of nobody’s', { ALPNProtocols: ['foo'] }, 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL'],
      ['no group of ours', { ecdhCurve: 'P-521' }, 'ERR_SSL_ALERT_HANDSHAKE_FAILURE'],
    ])('%s is answered alike', async (_, options, expected) => {
      const all = await Promise.all(ENGINES.map((engine) => told(engine, { ...versions, ...options })));
      for (const one of all) expect(one.replace(/SSLV3_|SSL\/TLS_/, '')).toBe(expected);
    });

    it('a session of one engine is resumed by the other, and by itself', async () => {
      // On one listener: by ALPN it is node's or the threads'.
      for (const [first, second] of [
        ['h2', 'http/1.1'],
        ['http/1.1', 'h2'],
        ['http/1.1', 'http/1.1'],
      ] as const) {
        const before = await shakeHands('native', { ...versions, ALPNProtocols: [first] });
        const session = version === 'TLSv1.2' ? before.getSession() : (await once(before, 'session'))[0];
        const after = await shakeHands('native', { ...versions, ALPNProtocols: [second], session });
        expect([first, second, after.isSessionReused()]).toEqual([first, second, true]);
        before.destroy();
        after.destroy();
      }
    });
  });

  it('each counts what it has done, and not what the other has', async () => {
    const count = (engine: Engine) => ended(engine, 'ok');
    const before = await Promise.all(ENGINES.map(count));
    for (const ALPNProtocols of [['http/1.1'], ['http/1.1'], ['h2']])
      await once((await shakeHands('native', { ALPNProtocols })).resume().end(), 'close');
    await expect.poll(() => Promise.all(ENGINES.map(count))).toEqual([before[0]! + 2, before[1]! + 1]);
  });

  // A ClientHello of TLS 1.2, whose alerts are in the clear.
  const begun = async (engine: Engine) => {
    const client = await connectRaw(portOf(engine));
    client.write(await clientHelloOf({ servername: 'app.example', maxVersion: 'TLSv1.2' }));
    await client.until((received) => received.length > 5);
    return client;
  };
  const half = async (engine: Engine) => {
    const client = await connectRaw(portOf(engine));
    client.write((await clientHelloOf({ servername: 'app.example' })).subarray(0, 40));
    return client;
  };
  const unknownCa = Buffer.from('15030300020230', 'hex');
  it.each<[string, string, (engine: Engine) => Promise<unknown>]>([
    ['half a ClientHello', 'timeout', async (engine) => (await half(engine)).closed()],
    ['no answer to the ServerHello', 'timeout', async (engine) => (await begun(engine)).closed()],
    ['an end within the ClientHello', 'closed', async (engine) => (await half(engine)).socket.end()],
    ['an end behind the ServerHello', 'closed', async (engine) => (await begun(engine)).socket.end()],
    ['a reset behind the ServerHello', 'reset', async (engine) => (await begun(engine)).reset()],
    ['an alert', 'alert', async (engine) => (await begun(engine)).write(unknownCa)],
    ['no group of ours', 'no_shared_cipher', (engine) => told(engine, { ecdhCurve: 'P-521' })],
  ])('%s is a handshake that failed, by either: %s', async (_, result, act) => {
    for (const engine of ENGINES) {
      const before = await ended(engine, result);
      await act(engine);
      await expect.poll(() => ended(engine, result), { message: engine }).toBe(before + 1);
    }
  });

  it.each(ENGINES)('%s ends a handshake without a reset, by which an alert could be lost', async (engine) => {
    const client = await half(engine);
    client.end();
    expect((await client.closed()).how).toBe('fin');
    const refused = await connectRaw(portOf(engine));
    const hello = await clientHelloOf({ ecdhCurve: 'P-521', ALPNProtocols: ['http/1.1'] });
    refused.write(Buffer.concat([hello, Buffer.alloc(60_000)]));
    const { how, bytes } = await refused.closed();
    // Fatal, handshake_failure.
    expect([how, bytes.toString('hex')]).toEqual(['fin', '15030300020228']);
  });

  it.each([
    // An alert in the clear, and as encrypted application data (RFC 8446 §5.2).
    ['TLSv1.2', [21, 26]],
    ['TLSv1.3', [23, 19]],
  ] as const)(
    'a client that leaves behind its handshake gets a close_notify for its own, over %s',
    async (version, last) => {
      for (const engine of ENGINES) {
        const tap = await startTap(portOf(engine));
        const socket = await shakeHands(engine, { port: tap.port, minVersion: version, maxVersion: version });
        await once(socket.resume().end(), 'close');
        expect([engine, ...recordsOf(tap.connections[0]!.down()).at(-1)!]).toEqual([engine, ...last]);
        tap.close();
      }
    },
  );

  it('plain HTTP and other bytes are left to node', async () => {
    for (const bytes of ['GET / HTTP/1.1\r\n\r\n', '\x16\x03\x01\x00\x05hello', '\0'.repeat(600)]) {
      const client = await connectRaw(portOf('native'));
      client.write(bytes);
      await client.closed();
    }
    await expect.poll(() => ended('node', 'not_tls')).toBeGreaterThan(1);
  });

  it('a ClientHello that comes octet by octet is taken all the same', async () => {
    const hello = await clientHelloOf({ ALPNProtocols: ['http/1.1'] });
    const client = await connectRaw(portOf('native'));
    for (const octet of hello) {
      client.write(Buffer.of(octet));
      await new Promise((resolve) => setImmediate(resolve));
    }
    // A ServerHello.
    expect((await client.until((received) => received.length > 5))[0]).toBe(22);
    client.reset();
  });

  describe.each(ENGINES)('with %s', (engine) => {
    const url = (path: string) => `wss://127.0.0.1:${portOf(engine)}${path}`;
    const options = { rejectUnauthorized: false };

    it.each(['/splice', '/echo'])(
      'messages of all sizes come back through %s, and a Close in both directions',
      async (path) => {
        const client = await openClient(url(path), options);
        for (const size of [0, 1, 125, 126, 16_384, 65_536, 1_000_000]) {
          const message = Buffer.alloc(size, 'x').toString();
          client.socket.send(message);
          expect(await client.next()).toBe(message);
        }
        expect((await client.close(4001, 'done')).code).toBe(4001);
      },
    );

    it('requests on one connection know their scheme, client and body', async () => {
      const client = await connectRaw({ tls: true, host: '127.0.0.1', port: portOf(engine), ...options });
      for (let i = 0; i < 3; i++) {
        client.write(`POST /seen/${i} HTTP/1.1\r\nHost: app.example\r\nContent-Length: 70000\r\n\r\n`);
        client.write('b'.repeat(70_000));
        await client.until(`"/seen/${i}"`);
      }
      const seen = client.received().toString();
      expect(seen.match(/"length":70000/g)).toHaveLength(3);
      expect(seen).toContain('"X-Forwarded-Proto","https"');
      expect(seen).toContain('"X-Forwarded-For","127.0.0.1"');
      client.end();
      expect((await client.closed()).how).toBe('fin');
    });

    it('an end by close_notify is passed on that comes at once with the last bytes, and without a FIN', async () => {
      const below = netConnect({ host: '127.0.0.1', port: portOf(engine), allowHalfOpen: true });
      let held: Buffer[] | null = null;
      const wire = new Duplex({
        read() {},
        write(chunk: Buffer, _encoding, done) {
          if (held !== null) held.push(chunk);
          else below.write(chunk);
          done();
        },
      });
      below.on('data', (chunk) => wire.push(chunk));
      const client = connect({ socket: wire, rejectUnauthorized: false });
      await once(client, 'secureConnect');
      let received = '';
      client.on('data', (chunk) => {
        received += chunk.toString('latin1');
      });
      const until = async (wanted: string) => {
        while (!received.includes(wanted)) await once(client, 'data');
      };
      client.write(
        'GET /splice HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
      );
      await until('\r\n\r\n');
      held = [];
      client.write(Buffer.from([0x81, 0x84, 0, 0, 0, 0, ...Buffer.from('last')]));
      client.end();
      await once(wire, 'finish');
      below.write(Buffer.concat(held));
      // The server ends its side for it.
      await once(below, 'end');
      expect(received).toContain('last');
      below.destroy();
    });

    it('bytes right behind the handshake of TLS and of WebSocket are carried in order', async () => {
      const raw = await connectRaw({ tls: true, host: '127.0.0.1', port: portOf(engine), ...options });
      const key = 'dGhlIHNhbXBsZSBub25jZQ==';
      const head = `GET /splice HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`;
      const frames = Array.from({ length: 200 }, (_, i) =>
        Buffer.from([0x81, 0x84, 0, 0, 0, 0, ...Buffer.from(String(i).padStart(4, '0'))]),
      );
      raw.write(Buffer.concat([Buffer.from(head), ...frames]));
      const received = await raw.until((all) => all.toString('latin1').includes('0199'));
      const sent = frames.map((frame) => Buffer.concat([Buffer.from([0x81, 4]), frame.subarray(6)]));
      expect(received.subarray(received.indexOf('\r\n\r\n') + 4)).toEqual(Buffer.concat(sent));
      raw.socket.destroy();
    });
  });

  it('a reload with other certificates leaves tunnels alone, and serves the new ones', async () => {
    const client = await openClient(`wss://127.0.0.1:${portOf('native')}/splice`, { rejectUnauthorized: false });
    const before = await told('native', { servername: 'app.example' });
    const certificate = async () => {
      const socket = await shakeHands('native', { servername: 'app.example' });
      const { fingerprint256 = '' } = socket.getPeerX509Certificate() ?? {};
      socket.destroy();
      return fingerprint256;
    };
    const old = await certificate();
    writePair('app', 'app.example');
    await expect.poll(certificate).not.toBe(old);
    expect(await told('native', { servername: 'app.example' })).toBe(before);
    client.socket.send('still here');
    expect(await client.next()).toBe('still here');
    await client.close(1000);
  });

  it('a ClientHello that is half there when its listener closes goes on to node, and is answered', async () => {
    const certificates = [writePair('half', 'half.example')];
    const config = (count: number) => ({
      listeners: Array.from({ length: count }, (_, i) => ({
        host: `127.0.0.${i + 1}`,
        port: 0,
        tls: { certificates },
      })),
      routes: [{ name: 'all', respond: { body: 'served' } }],
    });
    const closing = await startGateway(config(2));
    const below = netConnect({ host: '127.0.0.2', port: closing.ports[1]! });
    const rest: Buffer[] = [];
    let client: TLSSocket | undefined;
    const first = new Promise<void>((resolve) => {
      // The client's socket, which keeps the rest of its first message.
      const wire = new Duplex({
        read() {},
        write(chunk: Buffer, _encoding, done) {
          if (rest.length > 0) return void below.write(chunk, () => done());
          rest.push(chunk.subarray(100));
          below.write(chunk.subarray(0, 100), () => resolve());
          done();
        },
      });
      below.on('data', (chunk) => wire.push(chunk));
      client = connect({ socket: wire, rejectUnauthorized: false });
    });
    await first;
    writeFileSync(closing.file, JSON.stringify(config(1)));
    closing.signal('SIGHUP');
    await closing.log({ event: 'config_reloaded', result: 'success' });
    const shaken = once(client!, 'secureConnect');
    below.write(rest[0]!);
    await shaken;
    client!.write('GET / HTTP/1.1\r\nHost: half.example\r\n\r\n');
    expect(String((await once(client!, 'data'))[0])).toMatch(/^HTTP\/1.1 200 OK/);
    below.destroy();
    expect(await closing.stop()).toBe(0);
  });
});
