// HTTP engines: what reaches the client of the server's answer.
import { createHash, randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { readMessage } from '../support/forwarding.ts';
import { settled, sha256 } from '../support/quiet.ts';
import type { Stages } from './http-engine.suite.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const GET_1_0 = 'GET / HTTP/1.0\r\nHost: a\r\n\r\n';

export function describeAnswers(stages: Stages): void {
  it.each(['HTTP/1.1 200 OK', 'HTTP/1.1 299 Quite Fine, caf\xe9', 'HTTP/1.1 404 ', 'HTTP/1.1 599 x'])(
    'keeps the status line %s',
    async (line) => {
      const { ask } = await stages.set();
      const { peer, client } = await ask(GET);
      peer.write(`${line}\r\nContent-Length: 0\r\n\r\n`);
      expect(readMessage(await client.until('\r\n\r\n')).startLine).toBe(line);
    },
  );

  it('keeps order, casing and repetitions of fields, and applies the policy', async () => {
    const { ask, front } = await stages.set();
    const { peer, client } = await ask(GET);
    const fields = [
      'SET-cookie: a=1',
      'X-A: caf\xe9',
      'Set-Cookie: b=2; Path=/',
      'x-a: 2',
      'X-Empty: ',
      'Set-Cookie: c',
    ];
    const hop = ['Connection: X-Hop', 'X-Hop: 1', 'Proxy-Authenticate: Basic', 'X-Gateway-Reason: forged'];
    peer.write(['HTTP/1.1 200 OK', ...fields, ...hop, 'content-length: 2', '', 'ok'].join('\r\n'));
    expect(readMessage(await client.until('\r\n\r\nok')).lines).toEqual([...fields, 'content-length: 2']);
    expect((await front.ending()).code).toBe('answered');
  });

  it('adds a Date only where the server sent none', async () => {
    const { ask } = await stages.set();
    const { peer, client } = await ask(GET);
    peer.write('HTTP/1.1 200 OK\r\nDate: Tue, 01 Jan 2030 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n');
    const dates = (await client.until('\r\n\r\n')).toString('latin1').match(/^date: .*$/gim);
    expect(dates).toEqual(['Date: Tue, 01 Jan 2030 00:00:00 GMT']);
  });

  it.each([
    ['HEAD', '200 OK'],
    ['HEAD', '404 Not Found'],
    ['GET', '304 Not Modified'],
  ])('a %s answered with %s has no body and keeps its Content-Length', async (method, status) => {
    const { ask, backend } = await stages.set();
    const { peer, client } = await ask(`${method} /1 HTTP/1.1\r\nHost: a\r\n\r\n`);
    peer.write(`HTTP/1.1 ${status}\r\nETag: "x"\r\nContent-Length: 1234\r\n\r\n`);
    const first = readMessage(await client.until('\r\n\r\n'));
    expect(first).toEqual({ startLine: `HTTP/1.1 ${status}`, lines: ['ETag: "x"', 'Content-Length: 1234'], body: '' });
    // Both connections go on: nobody waits for 1234 bytes.
    client.write('GET /2 HTTP/1.1\r\nHost: a\r\n\r\n');
    await peer.until('GET /2 ');
    peer.write('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo');
    await client.until('two');
    expect(backend.connections()).toBe(1);
  });

  it('a HEAD answered with chunks announced has no body', async () => {
    const { ask } = await stages.set();
    const { peer, client } = await ask('HEAD /1 HTTP/1.1\r\nHost: a\r\n\r\n');
    peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\n');
    await client.until('\r\n\r\n');
    client.write('GET /2 HTTP/1.1\r\nHost: a\r\n\r\n');
    await peer.until('GET /2 ');
    peer.write('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo');
    const all = await client.until('two');
    expect(readMessage(all).body.startsWith('HTTP/1.1 200 OK\r\n')).toBe(true);
  });

  it('a 204 has neither body nor length (RFC 9110 §8.6)', async () => {
    const { ask, front } = await stages.set();
    const { peer, client } = await ask(GET);
    peer.write('HTTP/1.1 204 No Content\r\nX-A: 1\r\nContent-Length: 0\r\n\r\n');
    const { lines, body } = readMessage(await client.until('\r\n\r\n'));
    expect({ lines, body }).toEqual({ lines: ['X-A: 1'], body: '' });
    expect((await front.ending()).code).toBe('answered');
  });

  it('passes chunks as chunks, each at once', async () => {
    const { ask } = await stages.set();
    const { peer, client } = await ask(GET);
    peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    expect(readMessage(await client.until('\r\n\r\n'))).toMatchObject({
      lines: ['Transfer-Encoding: chunked'],
      body: '',
    });
    for (const text of ['one', 'two two', 'three']) {
      peer.write(`${text.length.toString(16)}\r\n${text}\r\n`);
      await client.until(`${text.length.toString(16)}\r\n${text}\r\n`);
    }
    peer.write('0\r\n\r\n');
    await client.until('0\r\n\r\n');
    expect(readMessage(client.received()).body).toBe('3\r\none\r\n7\r\ntwo two\r\n5\r\nthree\r\n0\r\n\r\n');
  });

  it('passes server-sent events at once, the head alone first', async () => {
    const { ask } = await stages.set();
    const { peer, client } = await ask(GET);
    peer.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n');
    await client.until('Content-Type: text/event-stream\r\n');
    await client.until('\r\n\r\n');
    for (const n of [1, 2, 3]) {
      peer.write(`data: ${n}\n\n`);
      await client.until(`data: ${n}\n\n`);
    }
  });

  it('passes trailers, and none that belong into the head', async () => {
    const { ask, front } = await stages.set();
    const { peer, client } = await ask(GET);
    peer.write('HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n');
    peer.write('0\r\nX-Sum: 1\r\nSet-Cookie: a=1\r\nLocation: /\r\nx-sum: 2\r\n\r\n');
    await client.until('x-sum: 2\r\n\r\n');
    expect(readMessage(client.received())).toEqual({
      startLine: 'HTTP/1.1 200 OK',
      lines: ['Trailer: X-Sum', 'Transfer-Encoding: chunked'],
      body: '2\r\nhi\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n',
    });
    expect((await front.ending()).code).toBe('answered');
  });

  it('does not promise trailers that can not come', async () => {
    const { ask } = await stages.set();
    const { peer, client } = await ask(GET);
    peer.write('HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nContent-Length: 2\r\n\r\nhi');
    expect(readMessage(await client.until('\r\n\r\nhi')).lines).toEqual(['Content-Length: 2']);
  });

  it('an HTTP/1.0 server that ends its body by closing: chunks for an HTTP/1.1 client', async () => {
    const { ask, front } = await stages.set();
    const { peer, client } = await ask(GET);
    peer.write('HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\nhello');
    await client.until('5\r\nhello\r\n');
    peer.socket.end();
    await client.until('0\r\n\r\n');
    expect(readMessage(client.received())).toMatchObject({ lines: ['X-A: 1', 'Transfer-Encoding: chunked'] });
    expect((await front.ending()).code).toBe('answered');
  });

  it.each([
    ['chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'],
    ['until close', 'HTTP/1.0 200 OK\r\n\r\nhello'],
  ])('a body %s goes to an HTTP/1.0 client until close, never in chunks', async (_, answer) => {
    const { ask } = await stages.set();
    const { peer, client } = await ask('GET / HTTP/1.0\r\nHost: a\r\nTE: chunked\r\n\r\n');
    peer.write(answer);
    if (answer.startsWith('HTTP/1.0')) peer.socket.end();
    const { how, bytes } = await client.closed();
    expect(how).toBe('fin');
    expect(readMessage(bytes)).toEqual({ startLine: 'HTTP/1.1 200 OK', lines: ['Connection: close'], body: 'hello' });
  });

  it('keeps Content-Length for an HTTP/1.0 client', async () => {
    const { ask } = await stages.set();
    const { peer, client } = await ask(GET_1_0);
    peer.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello');
    expect(readMessage((await client.closed()).bytes)).toMatchObject({
      lines: ['Content-Length: 5', 'Connection: close'],
      body: 'hello',
    });
  });

  it('leaves content codings alone', async () => {
    const { ask } = await stages.set();
    const { peer, client } = await ask('GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip;q=0.5\r\n\r\n');
    expect(readMessage(peer.received()).lines).toContain('Accept-Encoding: gzip;q=0.5');
    const body = gzipSync('hello '.repeat(100));
    peer.write(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${body.length}\r\n\r\n`);
    peer.write(body);
    const all = await client.until((bytes) => bytes.subarray(-body.length).equals(body));
    expect(readMessage(all).lines).toEqual(['Content-Encoding: gzip', `Content-Length: ${body.length}`]);
  });

  it('passes 1500 fields and loses none', async () => {
    const { ask } = await stages.set();
    const { peer, client } = await ask(GET);
    const fields = Array.from({ length: 1500 }, (_, i) => `X-${i}: ${i}`);
    peer.write(['HTTP/1.1 200 OK', ...fields, 'Content-Length: 0', '', ''].join('\r\n'));
    expect(readMessage(await client.until('\r\n\r\n')).lines).toEqual([...fields, 'Content-Length: 0']);
  });

  it('passes a head of 60 KiB', async () => {
    const { ask } = await stages.set();
    const { peer, client } = await ask(GET);
    const value = 'a'.repeat(60_000);
    peer.write(`HTTP/1.1 200 OK\r\nX-A: ${value}\r\nContent-Length: 0\r\n\r\n`);
    expect(readMessage(await client.until('\r\n\r\n')).lines).toEqual([`X-A: ${value}`, 'Content-Length: 0']);
  });

  it('takes a large body no faster than the client does, and loses none of it', async () => {
    const { ask } = await stages.set();
    const { peer, client } = await ask(GET);
    const body = randomBytes(48 * 1024 * 1024);
    peer.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
    await client.until('\r\n\r\n');
    client.socket.pause();
    let sent = 0;
    const send = () => {
      while (sent < body.length) {
        const part = body.subarray(sent, sent + 65536);
        sent += part.length;
        if (!peer.socket.write(part)) return;
      }
    };
    peer.socket.on('drain', send);
    send();
    // What the kernel holds on both connections, and the little that the gateway does.
    expect(await settled(() => sent)).toBeLessThan(body.length / 3);
    const hash = createHash('sha256');
    let left = body.length;
    const whole = new Promise<void>((resolve) => {
      client.socket.on('data', (part) => {
        // The head came before the client was stopped.
        hash.update(part);
        left -= part.length;
        if (left === 0) resolve();
      });
    });
    client.socket.resume();
    await whole;
    expect(hash.digest('hex')).toBe(sha256(body));
  });
}
