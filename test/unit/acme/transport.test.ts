// One exchange with an authority: what it sends, and every way in which it may end.
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTransport } from '../../../src/acme/transport.ts';
import { makeSelfSigned } from '../../../src/runtime/tls/self-signed.ts';

const pair = makeSelfSigned(['localhost'], new Date());
const never = new AbortController().signal;
let server: Server;
let base: string;

beforeAll(async () => {
  server = createServer(pair, (req, res) => {
    if (req.url === '/silent') return;
    if (req.url === '/half') return void res.writeHead(200, { 'content-length': 10 }).write('half');
    if (req.url === '/cut') return void req.socket.destroy();
    const { authorization: _, ...headers } = req.headers;
    res.setHeader('replay-nonce', ['one', 'two']);
    res.end(JSON.stringify({ method: req.method, headers }));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  base = `https://localhost:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
  server.closeAllConnections();
});

const open = (options: Partial<Parameters<typeof openTransport>[0]> = {}) =>
  openTransport({ ca: pair.cert, version: '1.2.3', signal: never, ...options });

it('says who asks, and what it sends', async () => {
  const answer = await open()({ method: 'POST', url: `${base}/`, body: '{"ä":1}', accept: 'application/json' });
  expect(answer.status).toBe(200);
  expect(answer.field('replay-nonce')).toBe('one, two');
  expect(answer.field('location')).toBeNull();
  expect(JSON.parse(answer.body)).toMatchObject({
    method: 'POST',
    headers: {
      'user-agent': 'upgate/1.2.3',
      'content-type': 'application/jose+json',
      accept: 'application/json',
      'content-length': '8',
    },
  });
});

describe('an exchange that fails', () => {
  it.each(['/silent', '/half'])('%s ends at its time', async (path) => {
    const failed = open({ timeoutMs: 50 })({ method: 'GET', url: base + path });
    await expect(failed).rejects.toMatchObject({ type: 'timeout', message: expect.stringContaining('localhost') });
  });

  it('for a connection that is cut has its reason', async () => {
    const failed = open()({ method: 'GET', url: `${base}/cut` });
    await expect(failed).rejects.toMatchObject({ type: 'connection', message: expect.stringContaining('hang up') });
  });

  it('for a server that nobody vouches for has its reason', async () => {
    const failed = open({ ca: null })({ method: 'GET', url: `${base}/` });
    await expect(failed).rejects.toMatchObject({ type: 'connection', message: expect.stringContaining('self-signed') });
  });

  it('for the end of the process ends with it', async () => {
    const stopping = new AbortController();
    const failed = open({ signal: stopping.signal })({ method: 'GET', url: `${base}/silent` });
    stopping.abort();
    await expect(failed).rejects.toMatchObject({ type: 'connection' });
  });

  it.each(['http://localhost/', 'ftp://x', 'https://', 'nonsense', ''])('never goes to %j', async (url) => {
    await expect(open()({ method: 'GET', url })).rejects.toMatchObject({ type: 'malformed' });
  });
});
