// Plain requests to a backend that authenticates connections, as NTLM does. Handshakes are ntlm-handshake.test.ts.
import { afterAll, beforeAll, describe, it } from 'vitest';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { AUTHENTICATE, NEGOTIATE, startNtlm } from '../support/ntlm.ts';
import { connectRaw, type RawConnection } from '../support/raw.ts';

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
