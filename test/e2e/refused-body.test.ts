// A client that sends a whole body before it looks for an answer, as many libraries do, and is refused from the head: it can
// send all of it, and the answer arrives. What comes in one read with the head makes node stop reading, so both are one write.
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { closedPort } from '../support/scripted.ts';

const TOKEN = 'a-token-of-some-length';
/** More than the buffers of both sockets hold. */
const BODY = Buffer.alloc(20 * 1024 * 1024);
const TIMES = 10;

let gateway: Gateway;

beforeAll(async () => {
  gateway = await startGateway({
    listeners: [{ host: '127.0.0.1', port: 0 }],
    admin: { port: 0, token: TOKEN },
    upstreams: { gone: { servers: [`http://127.0.0.1:${await closedPort()}`] } },
    routes: [
      { name: 'echo', match: { path: '/echo' }, websocket: { mode: 'terminate', handler: 'echo', origins: 'any' } },
      { name: 'gone', match: { path: '/gone' }, http: { upstream: 'gone' } },
      { name: 'small', match: { path: '/small' }, http: { upstream: 'gone', max_body: '1MiB' } },
    ],
  });
});
afterAll(() => gateway.stop());

/** Sends head and body, reads only then, and gives the status; rejects where the connection is reset. */
async function post(port: number, path: string, fields: readonly string[]): Promise<number> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  const head = [`POST ${path} HTTP/1.1`, 'Host: localhost', `Content-Length: ${BODY.length}`, ...fields];
  const whole = Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), BODY]);
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.write(whole, () => resolve());
  });
  const answer: Buffer[] = [];
  for await (const chunk of socket) answer.push(chunk as Buffer);
  return Number(Buffer.concat(answer).toString().split(' ')[1]);
}

describe('a body that is refused', () => {
  const admin = ['Content-Type: text/plain'];
  it.each([
    ['no route', () => gateway.port, '/nowhere', [], 404],
    ['a handshake is wanted', () => gateway.port, '/echo', [], 426],
    ['no server', () => gateway.port, '/gone', [], 502],
    ['more than the route takes', () => gateway.port, '/small', [], 413],
    ['the API: no token', () => gateway.adminPort, '/rooms/red/messages', admin, 401],
    [
      'the API: more than 1 MiB',
      () => gateway.adminPort,
      '/rooms/red/messages',
      [...admin, `Authorization: Bearer ${TOKEN}`],
      413,
    ],
  ])('can be sent to its end, and the answer arrives: %s', async (_, port, path, fields, status) => {
    for (let i = 0; i < TIMES; i++) expect(await post(port(), path, fields)).toBe(status);
  });
});
