// A backend that authenticates connections, as NTLM does: who logged in on one is the user of every request on it.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { connectRaw, type RawConnection } from '../support/raw.ts';

const NEGOTIATE = 'TlRMTVNTUAABAAAA';
const CHALLENGE = 'TlRMTVNTUAACAAAA';
const AUTHENTICATE = 'TlRMTVNTUAADAAAA';

/** Says hello to who has logged in on the connection, and 401 to anybody else; Persistent-Auth as IIS says it. */
async function startNtlm() {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}).on('close', () => sockets.delete(socket)));
    let user: string | null = null;
    let text = '';
    const say = (status: string, fields: string, body: string) =>
      socket.write(`HTTP/1.1 ${status}\r\n${fields}Content-Length: ${body.length}\r\n\r\n${body}`);
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
        const token = /^authorization: NTLM (.*)$/im.exec(text.slice(0, end))?.[1];
        text = text.slice(end + 4);
        if (token === AUTHENTICATE) user = 'alice';
        if (user !== null) say('200 OK', 'Persistent-Auth: true\r\n', `hello ${user}`);
        else if (token === NEGOTIATE) say('401 Unauthorized', `WWW-Authenticate: NTLM ${CHALLENGE}\r\n`, 'go on');
        else say('401 Unauthorized', 'WWW-Authenticate: NTLM\r\n', 'who is it');
      }
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { port: (server.address() as AddressInfo).port, sockets, close: () => server.close() };
}

describe.each(['auto', 'http-proxy'] as const)('by %s', (engine) => {
  let backend: Awaited<ReturnType<typeof startNtlm>>;
  let gateway: Gateway;
  beforeAll(async () => {
    backend = await startNtlm();
    gateway = await startGateway({
      listeners: [{ host: '127.0.0.1', port: 0 }],
      http: { engine },
      upstreams: { iis: { servers: [`http://127.0.0.1:${backend.port}`] } },
      routes: [{ name: 'iis', http: { upstream: 'iis' } }],
    });
  });
  afterAll(async () => {
    await gateway?.stop('SIGKILL');
    backend?.close();
    for (const socket of backend?.sockets ?? []) socket.destroy();
  });

  async function ask(client: RawConnection, token: string | null, body: string) {
    const before = client.received().length;
    const field = token === null ? '' : `Authorization: NTLM ${token}\r\n`;
    client.write(`GET / HTTP/1.1\r\nHost: a\r\n${field}\r\n`);
    await client.until((bytes) => bytes.subarray(before).includes(`\r\n\r\n${body}`));
  }

  it('a client logs in over its connection, and nobody else is taken for it', async () => {
    const alice = await connectRaw(gateway.port);
    await ask(alice, null, 'who is it');
    await ask(alice, NEGOTIATE, 'go on');
    await ask(alice, AUTHENTICATE, 'hello alice');
    await ask(alice, null, 'hello alice');
    const [...others] = await Promise.all([connectRaw(gateway.port), connectRaw(gateway.port)]);
    for (const other of others) await ask(other, null, 'who is it');
    alice.socket.destroy();
    for (const other of others) await ask(other, null, 'who is it');
    const late = await connectRaw(gateway.port);
    await ask(late, null, 'who is it');
    for (const client of [...others, late]) client.socket.destroy();
  });

  it('two clients log in side by side, leg by leg', async () => {
    const clients = [await connectRaw(gateway.port), await connectRaw(gateway.port)];
    for (const [token, body] of [
      [NEGOTIATE, 'go on'],
      [AUTHENTICATE, 'hello alice'],
      [null, 'hello alice'],
    ] as const)
      await Promise.all(clients.map((client) => ask(client, token, body)));
    for (const { socket } of clients) socket.destroy();
  });
});
