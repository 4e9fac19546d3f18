// A server that speaks no HTTP where HTTP was configured: it is judged by its first octets, at once, and the log says what
// it looks like. One meaning for plain requests and handshakes, by both HTTP engines and both relays.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { exchange, handshake, readAnswer } from '../support/raw.ts';

/** What it says, when, and what the log says of it. Most wait for the other side's next word then. */
const SPEAKERS = {
  vnc: { says: 'RFB 003.008\n', greets: true, looks: 'this is VNC (RFB)' },
  ssh: { says: 'SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n', greets: true, looks: 'this is SSH' },
  smtp: { says: '220 mail.test ESMTP\r\n', greets: true, looks: 'this is SMTP or FTP' },
  redis: { says: "-ERR unknown command 'GET'\r\n", greets: false, looks: 'this is Redis or POP3' },
  tls: { says: '\x15\x03\x01\x00\x02\x02\x46', greets: false, looks: 'this is TLS: write wss:// or https:// for it' },
  h2: { says: '\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03', greets: true, looks: 'this is HTTP/2' },
  mysql: { says: 'J\x00\x00\x00\x0a8.0.36\x00', greets: true, looks: 'this is MySQL' },
  other: { says: 'hello, who is there?', greets: true, looks: 'it begins with "hell"' },
  octet: { says: '\x01', greets: true, looks: 'it begins with 0x01' },
  empty: { says: '\r\n', greets: false, looks: 'it begins with 0x0d0a' },
} as const;
/** What is HTTP at first sight, and never ends. */
const BARE_LF = 'HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\n\n';
/** Longer than any test waits, so that only judging at once passes. */
const NEVER = '10m';

describe.each([
  ['auto', 'native'],
  ['http-proxy', 'js'],
] as const)('by %s and the %s relay', (http, relay) => {
  const servers: Server[] = [];
  const sockets = new Set<Socket>();
  let gateway: Gateway;

  async function listen(says: string, greets: boolean): Promise<number> {
    const server = createServer((socket) => {
      sockets.add(socket.on('error', () => {}));
      if (greets) socket.write(says, 'latin1');
      else socket.once('data', () => socket.write(says, 'latin1'));
      socket.resume();
    });
    servers.push(server);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return (server.address() as AddressInfo).port;
  }

  beforeAll(async () => {
    const named = { ...SPEAKERS, lf: { says: BARE_LF, greets: false } };
    const upstreams: Record<string, { servers: string[]; health: { passive: 'off' }; retry: 'off' }> = {};
    for (const [name, { says, greets }] of Object.entries(named)) {
      const address = `http://127.0.0.1:${await listen(says, greets)}`;
      upstreams[name] = { servers: [address], health: { passive: 'off' }, retry: 'off' };
    }
    gateway = await startGateway({
      listeners: [{ host: '127.0.0.1', port: 0 }],
      http: { engine: http },
      relay: { engine: relay },
      upstreams,
      routes: Object.keys(named).map((name) => ({
        name,
        match: { path: `/${name}` },
        http: { upstream: name, timeouts: { head: NEVER } },
        websocket: { mode: 'splice' as const, upstream: name, origins: 'any' as const, timeouts: { handshake: NEVER } },
      })),
    });
  });
  afterAll(async () => {
    await gateway?.stop('SIGKILL');
    for (const server of servers) server.close();
    for (const socket of sockets) socket.destroy();
  });

  const requests = (path: string) => ({
    'plain request': `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    handshake: handshake({}, `GET ${path} HTTP/1.1`),
  });

  describe.each(['plain request', 'handshake'] as const)('a %s', (kind) => {
    // node's parser, which http-proxy has, skips an empty line before an answer.
    const skips = http === 'http-proxy' && kind === 'plain request';
    it.each(Object.entries(SPEAKERS).filter(([name]) => !(skips && name === 'empty')))(
      'to %s is 502 bad_accept at once, and the log knows',
      async (name, { looks }) => {
        const answer = readAnswer(await exchange(gateway.port, requests(`/${name}`)[kind]));
        expect(answer.status).toBe(502);
        const { reason, request_id: id } = JSON.parse(answer.body);
        expect(reason).toBe('bad_accept');
        // The client is not told what stands behind the gateway.
        expect(answer.body).not.toContain('this is');
        const { detail } = await gateway.log({ id, upstream: name, reason: 'bad_accept' });
        expect(detail).toContain(looks);
      },
    );

    it('whose answer has lines without CR is 502 bad_accept at once', async () => {
      const answer = readAnswer(await exchange(gateway.port, requests('/lf')[kind]));
      expect(JSON.parse(answer.body)).toMatchObject({ status: 502, reason: 'bad_accept' });
    });
  });
});
