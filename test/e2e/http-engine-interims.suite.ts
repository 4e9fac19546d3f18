// HTTP engines: 1xx answers, and answers that come before the request is over.
import { expect, it } from 'vitest';
import { readMessage } from '../support/forwarding.ts';
import type { Stages } from './http-engine.suite.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const EXPECTING = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n';
const UPLOAD = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n';

export function describeInterims(stages: Stages): void {
  it("passes the server's 100 to a client that expects it", async () => {
    const { ask } = await stages.set();
    const { peer, client } = await ask(EXPECTING);
    expect(readMessage(peer.received())).toMatchObject({
      lines: ['Host: a', 'Content-Length: 5', 'Expect: 100-continue'],
      body: '',
    });
    expect(client.received().length).toBe(0);
    peer.write('HTTP/1.1 100 Continue\r\n\r\n');
    expect((await client.until('\r\n\r\n')).toString()).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    client.write('hello');
    await peer.until('hello');
    peer.write(OK);
    expect((await client.until('ok')).toString().startsWith('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n')).toBe(
      true,
    );
  });

  it('does not hold back a body that does not wait for the 100', async () => {
    const { ask } = await stages.set();
    const { peer, client } = await ask(`${EXPECTING}hello`);
    await peer.until('hello');
    peer.write(OK);
    expect(readMessage(await client.until('ok')).startLine).toBe('HTTP/1.1 200 OK');
  });

  it('passes a refusal in place of the 100 at once, and closes', async () => {
    const { ask, front } = await stages.set();
    const { peer, client } = await ask(EXPECTING);
    peer.write('HTTP/1.1 417 Expectation Failed\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n');
    const { how, bytes } = await client.closed(1800);
    expect(how).toBe('fin');
    expect(readMessage(bytes)).toEqual({
      startLine: 'HTTP/1.1 417 Expectation Failed',
      lines: ['Connection: close', 'Transfer-Encoding: chunked'],
      body: '2\r\nno\r\n0\r\n\r\n',
    });
    expect((await front.ending()).code).toBe('answered');
    await peer.closed();
  });

  it('passes several interim answers with their fields', async () => {
    const { ask } = await stages.set();
    const { peer, client } = await ask(GET);
    const first = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLINK: </b.js>; rel=preload\r\n\r\n';
    const second = 'HTTP/1.1 102 Processing\r\n\r\n';
    const third = 'HTTP/1.1 103 Early Hints\r\nX-Without: link\r\n\r\n';
    for (const interim of [first, second, third]) peer.write(interim);
    await client.until(third);
    peer.write(OK);
    expect((await client.until('ok')).toString().startsWith(`${first}${second}${third}HTTP/1.1 200 OK\r\n`)).toBe(true);
  });

  it('keeps what belongs to one connection out of interim answers', async () => {
    const { ask } = await stages.set();
    const { peer, client } = await ask(GET);
    const fields = 'Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-A: 1\r\n';
    peer.write(`HTTP/1.1 103 Early Hints\r\n${fields}\r\n`);
    expect((await client.until('\r\n\r\n')).toString()).toBe('HTTP/1.1 103 Early Hints\r\nX-A: 1\r\n\r\n');
  });

  it('a 100 that nobody expected does no harm, in pieces or whole (RFC 9110 §15.2)', async () => {
    const { ask } = await stages.set();
    const { peer, client } = await ask(GET);
    peer.write('HTTP/1.1 10');
    await new Promise((resolve) => setImmediate(resolve));
    peer.write('0 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n');
    await client.until('Link: </a>\r\n\r\n');
    peer.write(`HTTP/1.1 100 Continue\r\n\r\n${OK}`);
    expect((await client.until('\r\n\r\nok')).toString()).toContain('HTTP/1.1 200 OK\r\n');
    // The connection to the server goes on.
    client.write(GET);
    await peer.until((text) => text.split('GET / ').length === 3);
  });

  it('sends no interim answer to an HTTP/1.0 client', async () => {
    const { ask } = await stages.set();
    const { peer, client } = await ask('GET / HTTP/1.0\r\nHost: a\r\n\r\n');
    peer.write(`HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${OK}`);
    expect((await client.closed()).bytes.toString().startsWith('HTTP/1.1 200 OK\r\n')).toBe(true);
  });

  it.each([
    ['with a length', 'HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge', 'Content-Length: 5', 'large'],
    [
      'in chunks',
      'HTTP/1.1 413 Too Large\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nlarge\r\n0\r\n\r\n',
      'Transfer-Encoding: chunked',
      '5\r\nlarge\r\n0\r\n\r\n',
    ],
    ['without a body', 'HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n', 'Content-Length: 0', ''],
  ])(
    'an early final answer %s reaches a client that goes on sending; then the connection closes',
    async (_, answer, line, body) => {
      const { ask, front } = await stages.set();
      const { peer, client } = await ask(UPLOAD);
      client.write('x'.repeat(1000));
      await peer.until('x'.repeat(1000));
      peer.write(answer);
      await client.until('Connection: close');
      for (let i = 0; i < 999; i++) client.write('x'.repeat(1000));
      const { how, bytes } = await client.closed();
      expect(how).toBe('fin');
      const message = readMessage(bytes);
      expect([...message.lines].sort()).toEqual(['Connection: close', line].sort());
      expect(message).toMatchObject({ startLine: 'HTTP/1.1 413 Too Large', body });
      expect((await front.ending()).code).toBe('answered');
      await peer.closed();
    },
  );

  it('6: an early final answer with a length is whole before the client stops sending', async () => {
    const { ask } = await stages.set();
    const { peer, client } = await ask(UPLOAD);
    peer.write('HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge');
    expect(readMessage(await client.until('large')).body).toBe('large');
    // Toward the server nothing more is sent: its connection can not be used again.
    await peer.closed();
  });

  it('6: reads the rest of a refused body within bounds only (RFC 9112 §9.5)', async () => {
    const { ask, front } = await stages.set();
    const { peer, client } = await ask('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000000000\r\n\r\n');
    peer.write('HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge');
    const part = Buffer.alloc(65536);
    const send = () => {
      while (client.socket.writable && client.socket.write(part));
    };
    client.socket.on('drain', send);
    send();
    expect((await client.closed()).bytes.toString()).toContain('large');
    expect((await front.ending()).code).toBe('answered');
    expect(front.taken()).toBeLessThan(128 * 1024 * 1024);
  });

  it('6: an early answer reaches the client although the server resets its connection behind it', async () => {
    const { ask, front } = await stages.set();
    const { peer, client } = await ask(UPLOAD);
    const part = Buffer.alloc(65536);
    client.write(part);
    // The gateway is still writing when the reset comes.
    peer.socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlarge', () => {
      peer.socket.resetAndDestroy();
      for (let i = 0; i < 10; i++) client.write(part);
    });
    expect(readMessage(await client.until('large')).startLine).toBe('HTTP/1.1 413 Too Large');
    client.socket.destroy();
    expect((await front.ending()).code).toBe('answered');
  });

  it('an answer that begins while the request still comes does not end it', async () => {
    const { ask, front } = await stages.set();
    const { peer, client } = await ask('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    for (const text of ['one', 'two', 'six']) {
      client.write(`3\r\n${text}\r\n`);
      await peer.until(`3\r\n${text}\r\n`);
      peer.write(`3\r\n${text}\r\n`);
      await client.until(`3\r\n${text}\r\n`);
    }
    client.write('0\r\n\r\n');
    await peer.until('0\r\n\r\n');
    peer.write('0\r\n\r\n');
    await client.until('0\r\n\r\n');
    expect((await front.ending()).code).toBe('answered');
  });
}
