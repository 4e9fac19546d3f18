// Whose id a connection has: the gateway's own, though a trusted proxy hands on the X-Request-Id that its clients made up.
import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openClient } from '../support/client.ts';
import { type EchoServer, startEcho } from '../support/echo.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { startWebhook, type WebhookServer } from '../support/webhook.ts';

const TOKEN = 'a-token-of-some-length';
const KEY = 'key-of-the-webhook';
const SHARED = { headers: { 'X-Request-Id': 'shared-1' } };

let gateway: Gateway;
let backend: WebhookServer;
let echo: EchoServer;

beforeAll(async () => {
  backend = await startWebhook();
  echo = await startEcho();
  const terminate = { mode: 'terminate', origins: 'any' } as const;
  gateway = await startGateway(
    {
      listeners: [{ host: '127.0.0.1', port: 0 }],
      admin: { port: 0, token: '${API_TOKEN}' },
      trusted_proxies: ['127.0.0.1'],
      upstreams: {
        rest: { servers: [`http://127.0.0.1:${backend.port}`] },
        chat: { servers: [`ws://127.0.0.1:${echo.port}`] },
      },
      routes: [
        { name: 'echo', match: { path: '/echo' }, websocket: { ...terminate, handler: 'echo' } },
        { name: 'splice', match: { path: '/splice' }, websocket: { mode: 'splice', upstream: 'chat', origins: 'any' } },
        {
          name: 'hook',
          match: { path: '/hook' },
          websocket: { ...terminate, handler: 'webhook', webhook: { upstream: 'rest', path: '/events', key: KEY } },
        },
      ],
    },
    { API_TOKEN: TOKEN },
  );
});

afterAll(async () => {
  await gateway?.stop();
  backend?.close();
  await echo?.close();
});

const api = (method: string, id: string) =>
  fetch(`http://127.0.0.1:${gateway.adminPort}/connections/${id}`, {
    method,
    headers: { Authorization: `Bearer ${TOKEN}` },
  });

/** Opens one, and gives the id that the log has for it. */
async function open(path: string, known: readonly string[] = []) {
  const client = await openClient(`ws://127.0.0.1:${gateway.port}${path}`, SHARED);
  const find = () =>
    gateway
      .logs()
      .filter((line) => line['event'] === 'session_opened' && line['id'] === 'shared-1' && line['path'] === path)
      .map((line) => String(line['connection']))
      .find((id) => !known.includes(id));
  await expect.poll(find, { timeout: 20_000 }).toBeDefined();
  return { client, id: find()! };
}

it.each(['/echo', '/splice'])('two clients with one X-Request-Id are two connections: %s', async (path) => {
  const one = await open(path);
  const other = await open(path, [one.id]);
  expect(other.id).not.toBe(one.id);
  expect((await api('GET', 'shared-1')).status).toBe(410);
  expect(await (await api('GET', other.id)).json()).toMatchObject({ id: other.id });
  expect((await api('DELETE', one.id)).status).toBe(204);
  expect(await one.client.closed).toMatchObject({ code: 1000 });
  await gateway.log({ event: 'session_closed', id: 'shared-1', connection: one.id });
  other.client.socket.send('still there');
  expect(await other.client.next()).toBe('still there');
  await other.client.close();
});

it('a webhook is told the own id, signed, and the request id beside it', async () => {
  const { client, id } = await open('/hook');
  const { fields } = await backend.event('connected');
  expect(fields).toMatchObject({
    'ce-connectionid': id,
    'ce-source': `/hubs/hook/client/${id}`,
    'ce-signature': `sha256=${createHmac('sha256', KEY).update(id).digest('hex')}`,
    'x-request-id': 'shared-1',
  });
  expect(id).not.toBe('shared-1');
  await client.close();
});
