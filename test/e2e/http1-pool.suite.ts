// The gateway's own HTTP/1.1: connections that their server has ended.
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { makeSelfSigned } from '../../src/runtime/tls/self-signed.ts';
import { startBackend } from '../support/forwarding.ts';
import type { Stages } from './http-engine.suite.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const METHODS = ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'POST', 'PATCH', 'PROPFIND'];
const BODIES = [
  ['without a body', 'Content-Length: 0\r\n\r\n'],
  ['with a body', 'Content-Length: 5\r\n\r\nhello'],
  ['with chunks', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'],
] as const;
const CASES = METHODS.flatMap((method) =>
  BODIES.flatMap(([body, rest]) => [false, true].map((secure) => ({ method, body, rest, secure }))),
);

export function describePool(stages: Stages): void {
  const pair = makeSelfSigned(['localhost'], new Date());

  async function set(secure: boolean) {
    if (!secure) return stages.set();
    const backend = await startBackend(pair);
    return stages.set({ backend, secure: true, host: 'localhost', engine: { ca: pair.cert } });
  }

  it.each(CASES)(
    '5: FIN in the turn of a $method $body (TLS: $secure): it goes over a fresh connection',
    async (one) => {
      const stage = await set(one.secure);
      const { peer, client } = await stage.ask('GET /first HTTP/1.1\r\nHost: a\r\n\r\n');
      peer.write(OK);
      await client.until('ok');
      await stage.front.ending();
      peer.socket.end();
      // The FIN is in the kernel, and the gateway, in this thread, has not looked yet.
      await once(peer.socket, 'finish');
      client.write(`${one.method} /second HTTP/1.1\r\nHost: a\r\n${one.rest}`);
      const fresh = await stage.backend.next();
      const request = await fresh.until(one.rest);
      expect(request.startsWith(`${one.method} /second HTTP/1.1\r\n`)).toBe(true);
      fresh.write('HTTP/1.1 201 Fresh\r\nContent-Length: 0\r\n\r\n');
      await client.until('HTTP/1.1 201 Fresh');
      expect((await stage.front.ending()).code).toBe('answered');
      expect(peer.received()).not.toContain('/second');
    },
  );

  it.each(CASES)('5: FIN right behind an answer, then a $method $body (TLS: $secure)', async (one) => {
    const stage = await set(one.secure);
    const { peer, client } = await stage.ask('GET /first HTTP/1.1\r\nHost: a\r\n\r\n');
    client.socket.once('data', () => client.write(`${one.method} /second HTTP/1.1\r\nHost: a\r\n${one.rest}`));
    peer.socket.end(OK);
    const fresh = await stage.backend.next();
    await fresh.until(one.rest);
    fresh.write('HTTP/1.1 201 Fresh\r\nContent-Length: 0\r\n\r\n');
    await client.until('HTTP/1.1 201 Fresh');
    expect([(await stage.front.ending()).code, (await stage.front.ending()).code]).toEqual(['answered', 'answered']);
  });

  it('one that stands in line for a connection is not sent over it where it ends with the answer', async () => {
    const stage = await stages.set({ engine: { connectionsPerServer: 1 } });
    const { peer, client } = await stage.ask('GET /first HTTP/1.1\r\nHost: a\r\n\r\n');
    const other = await stage.client();
    other.write('POST /second HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello');
    await stage.front.seen(2);
    peer.socket.end(OK);
    await client.until('ok');
    const fresh = await stage.backend.next();
    await fresh.until('hello');
    fresh.write(OK);
    await other.until('ok');
    expect(peer.received()).not.toContain('/second');
  });
}
