// HTTP engines: what reaches the server.
import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { readMessage } from '../support/forwarding.ts';
import { settled, sha256 } from '../support/quiet.ts';
import type { Stages } from './http-engine.suite.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

export function describeRequests(stages: Stages): void {
  it('sends exactly the fields it is given: order, casing and repetitions', async () => {
    const fields = [
      ...['hOsT', 'example.com', 'X-Tag', 'a', 'Accept', '*/*', 'x-tag', 'b', 'X-Tag', 'c', 'Cookie', 'a=1'],
      ...['Cookie', 'b=2', 'X-Empty', '', 'X-Latin', 'caf\xe9'],
    ];
    const { ask } = await stages.set({ fields });
    const { peer, client } = await ask('GET / HTTP/1.1\r\nHost: a\r\nX-Own: 1\r\nConnection: close\r\n\r\n');
    const { startLine, lines } = readMessage(peer.received());
    expect(startLine).toBe('GET / HTTP/1.1');
    expect(lines).toEqual([
      ...['hOsT: example.com', 'X-Tag: a', 'Accept: */*', 'x-tag: b', 'X-Tag: c', 'Cookie: a=1', 'Cookie: b=2'],
      ...['X-Empty: ', 'X-Latin: caf\xe9'],
    ]);
    peer.write(OK);
    expect(readMessage((await client.closed()).bytes).body).toBe('ok');
  });

  it.each(['/a/./b/..//c%2Fd/%zz?q=1?2&&=&/../x', '//double//slash', '/?', '/"<>^`{|}'])(
    'sends the target %s as it is',
    async (target) => {
      const { ask } = await stages.set();
      const { peer } = await ask(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
      expect(readMessage(peer.received()).startLine).toBe(`GET ${target} HTTP/1.1`);
    },
  );

  it('OPTIONS * reaches the server and is answered', async () => {
    const { ask } = await stages.set();
    const { peer, client } = await ask('OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n');
    expect(peer.received().startsWith('OPTIONS * HTTP/1.1\r\nHost: a\r\n')).toBe(true);
    peer.write('HTTP/1.1 204 No Content\r\nAllow: GET\r\n\r\n');
    expect(readMessage(await client.until('\r\n\r\n')).lines).toEqual(['Allow: GET']);
  });

  it.each(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'])(
    'keeps Content-Length and body of a %s',
    async (method) => {
      const { ask } = await stages.set();
      const { peer } = await ask(`${method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX-A: 1\r\n\r\nhello`);
      await peer.until('hello');
      expect(readMessage(peer.received())).toEqual({
        startLine: `${method} / HTTP/1.1`,
        lines: ['Host: a', 'Content-Length: 5', 'X-A: 1'],
        body: 'hello',
      });
    },
  );

  it.each(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'])(
    'keeps the chunks of a %s',
    async (method) => {
      const { ask } = await stages.set();
      const request = `${method} / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`;
      const { peer, client } = await ask(request);
      await peer.until('0\r\n\r\n');
      expect(readMessage(peer.received())).toEqual({
        startLine: `${method} / HTTP/1.1`,
        lines: ['Host: a', 'Transfer-Encoding: chunked'],
        body: '5\r\nhello\r\n0\r\n\r\n',
      });
      peer.write(OK);
      expect(readMessage(await client.until('ok')).startLine).toBe('HTTP/1.1 200 OK');
    },
  );

  it('frames an empty chunked body', async () => {
    const { ask } = await stages.set();
    const { peer } = await ask('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n');
    await peer.until('0\r\n\r\n');
    expect(readMessage(peer.received())).toMatchObject({
      lines: ['Host: a', 'Transfer-Encoding: chunked'],
      body: '0\r\n\r\n',
    });
  });

  it.each(['GET', 'HEAD', 'DELETE', 'OPTIONS'])('invents no framing for a %s without a body', async (method) => {
    const { ask } = await stages.set();
    const { peer } = await ask(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`);
    expect(readMessage(peer.received())).toMatchObject({ lines: ['Host: a'], body: '' });
  });

  it.each(['GET', 'POST', 'DELETE'])('keeps the Content-Length: 0 of a %s', async (method) => {
    const { ask } = await stages.set();
    const { peer } = await ask(`${method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`);
    expect(readMessage(peer.received())).toMatchObject({ lines: ['Host: a', 'Content-Length: 0'], body: '' });
  });

  it('says of a POST without any framing that it has no body, and never sends chunks', async () => {
    const { ask } = await stages.set();
    const { peer } = await ask('POST / HTTP/1.1\r\nHost: a\r\n\r\n');
    const { lines, body } = readMessage(peer.received());
    // RFC 9110 §8.6 asks for the length; none at all says the same (RFC 9112 §6.3).
    expect(lines.filter((line) => line !== 'Content-Length: 0')).toEqual(['Host: a']);
    expect(body).toBe('');
  });

  it('passes the trailers of a request, and none that belong into the head', async () => {
    const { ask } = await stages.set();
    const trailers = 'X-Sum: 1\r\nHost: b\r\nX-Forwarded-For: 6.6.6.6\r\nx-sum: 2\r\n';
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n';
    const { peer } = await ask(`${head}2\r\nhi\r\n0\r\n${trailers}\r\n`);
    await peer.until('0\r\n');
    await peer.until((text) => text.endsWith('\r\n\r\n') && text.includes('hi'));
    expect(readMessage(peer.received())).toMatchObject({
      lines: ['Host: a', 'Trailer: X-Sum', 'Transfer-Encoding: chunked'],
      body: '2\r\nhi\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n',
    });
  });

  it('does not promise trailers that can not come', async () => {
    const { ask } = await stages.set();
    const { peer } = await ask('POST / HTTP/1.1\r\nHost: a\r\nTrailer: X-Sum\r\nContent-Length: 2\r\n\r\nhi');
    await peer.until('hi');
    expect(readMessage(peer.received()).lines).toEqual(['Host: a', 'Content-Length: 2']);
  });

  it('speaks HTTP/1.1 for an HTTP/1.0 client', async () => {
    const { ask } = await stages.set();
    const { peer, client } = await ask('POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi');
    await peer.until('hi');
    expect(readMessage(peer.received())).toEqual({
      startLine: 'POST / HTTP/1.1',
      lines: ['Host: a', 'Content-Length: 2'],
      body: 'hi',
    });
    peer.write(OK);
    expect(readMessage((await client.closed()).bytes).body).toBe('ok');
  });

  it('sends the head before the body has come', async () => {
    const { ask } = await stages.set();
    const { peer, client } = await ask('PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n');
    client.write('ab');
    await peer.until('\r\n\r\nab');
    client.write('cd');
    await peer.until('\r\n\r\nabcd');
  });

  it('takes a large body no faster than the server does, and loses none of it', async () => {
    const { ask, front } = await stages.set();
    const body = randomBytes(48 * 1024 * 1024);
    const { peer, client } = await ask(`PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`);
    const head = peer.received().length;
    peer.socket.pause();
    client.write(body);
    // What the kernel holds on both connections, and the little that the gateway does.
    expect(await settled(front.taken)).toBeLessThan(body.length / 3);
    peer.socket.resume();
    const received = await peer.until((text) => text.length === head + body.length);
    expect(sha256(Buffer.from(received.slice(head), 'latin1'))).toBe(sha256(body));
    peer.write(OK);
    expect(readMessage(await client.until('ok')).startLine).toBe('HTTP/1.1 200 OK');
  });
}
