// HTTP engines: what breaks, on either side, before, in and after an answer.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { makeSelfSigned } from '../../src/runtime/tls/self-signed.ts';
import { readMessage, startBackend } from '../support/forwarding.ts';
import { connectRaw } from '../support/raw.ts';
import { closedPort } from '../support/scripted.ts';
import { fakeClock } from '../support/stepped-clock.ts';
import type { Stage, Stages } from './http-engine.suite.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const GET_1_0 = 'GET / HTTP/1.0\r\nHost: a\r\n\r\n';

/** Sends a GET whose answer the gateway has to make up itself. */
async function ownAnswer({ client, front }: Stage, request = GET) {
  const connection = await client();
  connection.write(request);
  const ending = await front.ending();
  await connection.until(`\r\n\r\n${ending.code}`);
  return { ...ending, startLine: readMessage(connection.received()).startLine };
}

/** A port whose listener never accepts and whose queue is full, so that a further SYN is not answered. */
async function fullPort(stages: Stages): Promise<number> {
  const worker = new Worker(
    `const { createServer } = require('node:net');
     const { parentPort } = require('node:worker_threads');
     const server = createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
       // Blocks this thread, so that nothing is ever accepted; ends when the thread is terminated.
       setImmediate(() => {
         parentPort.postMessage(server.address().port);
         Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
       });
     });`,
    { eval: true },
  );
  stages.keep({ close: () => void worker.terminate() });
  const [port] = (await once(worker, 'message')) as [number];
  for (let i = 0; i < 2; i++) {
    const { socket } = await connectRaw(port);
    stages.keep({ close: () => socket.destroy() });
  }
  return port;
}

export function describeFailures(stages: Stages): void {
  it('a refused connection is backend_refused, and the caller can answer', async () => {
    const stage = await stages.set({ port: await closedPort() });
    const { startLine, message } = await ownAnswer(stage);
    expect(startLine).toBe('HTTP/1.1 502 Bad Gateway');
    expect(message).toContain('ECONNREFUSED');
  });

  it('tells how far it had got, so that the caller knows what may be tried again', async () => {
    const refused = await stages.set({ port: await closedPort() });
    expect(await ownAnswer(refused)).toMatchObject({ code: 'backend_refused', progress: 'unsent' });
    const post = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok';
    expect(await ownAnswer(refused, post)).toMatchObject({ progress: 'unsent' });
    for (const [request, progress] of [
      [GET, 'head'],
      [post, 'begun'],
    ] as const) {
      const stage = await stages.set();
      const { peer, client } = await stage.ask(request);
      if (request === post) await peer.until('ok');
      peer.socket.destroy();
      expect(await stage.front.ending()).toMatchObject({ code: 'backend_refused', progress });
      client.socket.destroy();
    }
    const interim = await stages.set();
    const { peer, client } = await interim.ask(GET);
    peer.write('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n');
    await client.until('</a>');
    peer.socket.destroy();
    expect(await interim.front.ending()).toMatchObject({ progress: 'begun' });
  });

  it('passes nothing of an answer that is declined, and asks no more once something was passed', async () => {
    const asked: number[] = [];
    const declines = (status: number) => asked.push(status) > 0;
    const stage = await stages.set({ declines });
    const { peer, client } = await stage.ask(GET);
    peer.write('HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy');
    expect(await stage.front.ending()).toMatchObject({ code: 'backend_refused', progress: 'head' });
    await client.until('backend_refused');
    expect(client.received().toString()).not.toContain('busy');
    await peer.closed();
    client.write(GET);
    const next = await stage.backend.next();
    await next.until('\r\n\r\n');
    next.write('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy');
    await client.until('busy');
    expect(asked).toEqual([503]);
  });

  it('a refused connection leaves the body of the request to the caller', async () => {
    const stage = await stages.set({ port: await closedPort() });
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n';
    const client = await stage.client();
    client.write(`${head}hello`);
    await client.until('backend_refused');
    // The connection goes on behind the body.
    client.write(`${head}again`);
    await client.until((bytes) => bytes.toString().split('backend_refused').length === 3);
  });

  it('a server that does not accept is backend_timeout', async () => {
    const stage = await stages.set({ port: await fullPort(stages), timeouts: { connect: 200, head: 60_000 } });
    expect(await ownAnswer(stage)).toMatchObject({
      code: 'backend_timeout',
      startLine: 'HTTP/1.1 504 Gateway Timeout',
      message: 'the server did not accept the connection within 200 ms',
    });
  });

  it('a TLS handshake that does not end is backend_timeout, and the connection is given up', async () => {
    const stage = await stages.set({ secure: true, timeouts: { connect: 200, head: 60_000 } });
    expect((await ownAnswer(stage)).code).toBe('backend_timeout');
    await (await stage.backend.next()).closed();
  });

  it('a slow answer is no matter of the connect timeout', async () => {
    const clock = fakeClock();
    const stage = await stages.set({ timeouts: { connect: 50 } });
    const { peer, client } = await stage.ask(GET);
    await clock.advance(500);
    peer.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    expect(readMessage(await client.until('ok')).startLine).toBe('HTTP/1.1 200 OK');
  });

  it('a server that does not answer is backend_timeout, and the connection is given up', async () => {
    const stage = await stages.set({ timeouts: { head: 100 } });
    expect(await ownAnswer(stage)).toMatchObject({
      code: 'backend_timeout',
      startLine: 'HTTP/1.1 504 Gateway Timeout',
    });
    await (await stage.backend.next()).closed();
  });

  it('a server that does not answer a POST is backend_timeout', async () => {
    const stage = await stages.set({ timeouts: { head: 100 } });
    const request = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello';
    expect((await ownAnswer(stage, request)).code).toBe('backend_timeout');
  });

  it('a server that never says to continue is backend_timeout', async () => {
    const stage = await stages.set({ timeouts: { head: 100 } });
    const request = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n';
    expect((await ownAnswer(stage, request)).code).toBe('backend_timeout');
  });

  it('the head timeout stands still while the client uploads', async () => {
    const clock = fakeClock();
    const stage = await stages.set({ timeouts: { head: 100 } });
    const { peer, client } = await stage.ask('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n');
    for (const [i, letter] of [...'abc'].entries()) {
      await clock.advance(150);
      client.write(letter);
      await peer.until(`\r\n\r\n${'abc'.slice(0, i + 1)}`);
    }
    expect((await clock.during(stage.front.ending())).code).toBe('backend_timeout');
  });

  it('a server that stops taking the request is backend_timeout', async () => {
    const stage = await stages.set({ timeouts: { head: 300 } });
    const { peer, client } = await stage.ask('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n');
    peer.socket.pause();
    client.write(Buffer.alloc(50_000_000));
    expect((await stage.front.ending()).code).toBe('backend_timeout');
    await client.until('backend_timeout');
  });

  it.each([
    ['in chunks', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n', '6\r\n world\r\n0\r\n\r\n'],
    ['of known length', 'Content-Length: 11\r\n\r\nhello', ' world'],
  ])('a body %s that grows too large is body_too_large, and the server is let go', async (_, begun, more) => {
    const stage = await stages.set({ maxBody: 10 });
    const { peer, client } = await stage.ask(`POST / HTTP/1.1\r\nHost: a\r\n${begun}`);
    await peer.until('hello');
    client.write(more);
    await client.until('body_too_large');
    expect(readMessage(client.received()).startLine).toMatch(/^HTTP\/1\.1 413 /);
    await peer.closed();
    expect(peer.received()).not.toContain('world');
    expect((await stage.front.ending()).code).toBe('body_too_large');
  });

  it('a body of exactly the most there may be passes', async () => {
    const { ask } = await stages.set({ maxBody: 10 });
    const { peer } = await ask('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789');
    await peer.until('0123456789');
  });

  it('a client that stops in the middle of its request is let go, and so is the server', async () => {
    const clock = fakeClock();
    const stage = await stages.set({ timeouts: { idle: 100 } });
    const { peer, client } = await stage.ask('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe');
    expect((await clock.during(stage.front.ending())).code).toBe('client_gone');
    await client.closed();
    await peer.closed();
  });

  it.each([
    ['chunks', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'],
    ['a body of known length', 'Content-Length: 10\r\n\r\nhello'],
  ])('a server that stops between %s: the connections are cut, the answer is not ended', async (_, rest) => {
    const stage = await stages.set({ timeouts: { idle: 200 } });
    const { peer, client } = await stage.ask(GET);
    peer.write(`HTTP/1.1 200 OK\r\n${rest}`);
    const { bytes } = await client.closed();
    expect(bytes.toString().endsWith('hello') || bytes.toString().endsWith('hello\r\n')).toBe(true);
    expect((await stage.front.ending()).code).toBe('backend_timeout');
    await peer.closed();
  });

  it('a server that is slow but goes on is let be, before its answer and in it', async () => {
    const clock = fakeClock();
    const stage = await stages.set({ timeouts: { head: 300, idle: 300 } });
    const { peer, client } = await stage.ask(GET);
    const pause = () => clock.advance(200);
    for (let i = 0; i < 3; i++) {
      await pause();
      peer.write('HTTP/1.1 102 Processing\r\n\r\n');
    }
    await pause();
    peer.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n');
    for (const letter of 'slow') {
      await pause();
      peer.write(letter);
    }
    await client.until('\r\n\r\nslow');
    expect((await stage.front.ending()).code).toBe('answered');
  });

  it('a client that stops taking the answer is let go, and so is the server', async () => {
    const stage = await stages.set({ timeouts: { idle: 300 } });
    const { peer, client } = await stage.ask(GET);
    client.socket.pause();
    peer.write('HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n');
    peer.write(Buffer.alloc(50_000_000));
    expect(await stage.front.ending()).toMatchObject({ code: 'client_gone' });
    await peer.closed();
  });

  it.each([
    ['while the server is awaited', ''],
    ['in the middle of the answer', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello'],
    ['in the middle of chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'],
  ])('a client that leaves %s ends the request at once', async (_, begun) => {
    for (const leave of ['end', 'reset'] as const) {
      const stage = await stages.set();
      const { peer, client } = await stage.ask(GET);
      if (begun !== '') {
        peer.write(begun);
        await client.until('hello');
      }
      if (leave === 'reset') client.reset();
      else client.socket.destroy();
      expect((await stage.front.ending()).code).toBe('client_gone');
      await peer.closed();
    }
  });

  it('a client that leaves in the middle of its request ends it at once', async () => {
    const stage = await stages.set();
    const { peer, client } = await stage.ask('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe');
    await peer.until('\r\n\r\nhe');
    client.reset();
    expect((await stage.front.ending()).code).toBe('client_gone');
    await peer.closed();
  });

  it('a client that leaves before the connection to the server stands ends it', async () => {
    const stage = await stages.set({ secure: true });
    const client = await stage.client();
    client.write(GET);
    const peer = await stage.backend.next();
    await peer.until((text) => text.length > 0);
    client.reset();
    expect((await stage.front.ending()).code).toBe('client_gone');
    await peer.closed();
  });

  it('a client that leaves while its request stands in line is forgotten', async () => {
    const stage = await stages.set({ engine: { connectionsPerServer: 1 } });
    const { peer, client } = await stage.ask('GET /1 HTTP/1.1\r\nHost: a\r\n\r\n');
    const second = await stage.client();
    second.write('GET /2 HTTP/1.1\r\nHost: a\r\n\r\n');
    await stage.front.seen(2);
    second.reset();
    expect((await stage.front.ending()).code).toBe('client_gone');
    const third = await stage.client();
    third.write('GET /3 HTTP/1.1\r\nHost: a\r\n\r\n');
    await stage.front.seen(3);
    peer.write('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none');
    await client.until('one');
    await peer.until('GET /3 ');
    expect(peer.received()).not.toContain('GET /2 ');
    peer.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthree');
    await third.until('three');
    expect(stage.backend.connections()).toBe(1);
  });

  it('a request that stands in line for too long is backend_timeout', async () => {
    const clock = fakeClock();
    const stage = await stages.set({ engine: { connectionsPerServer: 1 }, timeouts: { head: 300 } });
    const { peer, client } = await stage.ask('GET /1 HTTP/1.1\r\nHost: a\r\n\r\n');
    peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    await client.until('\r\n\r\n');
    const ending = await clock.during(ownAnswer(stage, 'GET /2 HTTP/1.1\r\nHost: a\r\n\r\n'));
    expect(ending.message).toContain('became free');
  });

  it.each([
    ['FIN', 'Content-Length: 10\r\n\r\nhello'],
    ['FIN', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'],
    ['FIN', 'Transfer-Encoding: chunked\r\n\r\n6\r\nhello'],
    ['RST', 'Content-Length: 10\r\n\r\nhello'],
    ['RST', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'],
    ['RST', '\r\nhello'],
  ])('%s of the server in the middle of its answer cuts the client (%j)', async (how, rest) => {
    const stage = await stages.set();
    const { peer, client } = await stage.ask(GET);
    peer.write(`HTTP/1.1 200 OK\r\n${rest}`);
    await client.until('hello');
    if (how === 'FIN') peer.socket.end();
    else peer.socket.resetAndDestroy();
    const { bytes } = await client.closed();
    expect(bytes.toString()).toMatch(/hello(?:\r\n)?$/);
    expect((await stage.front.ending()).code).toBe('backend_refused');
  });

  it.each(
    [
      ['FIN', 'Content-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n'],
      ['FIN', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'],
      ['RST', '\r\nhello'],
    ].slice(1),
  )('%s of the server reaches an HTTP/1.0 client, who has only the end to go by, as RST (%j)', async (how, rest) => {
    const stage = await stages.set();
    const { peer, client } = await stage.ask(GET_1_0);
    peer.write(`HTTP/1.1 200 OK\r\n${rest}`);
    await client.until('hello');
    if (how === 'FIN') peer.socket.end();
    else peer.socket.resetAndDestroy();
    expect((await client.closed()).how).toBe('reset');
    expect((await stage.front.ending()).code).toBe('backend_refused');
  });

  it.each(['FIN', 'RST'])('%s of the server before its answer is backend_refused', async (how) => {
    const stage = await stages.set();
    const { peer, client } = await stage.ask(GET);
    if (how === 'FIN') peer.socket.end();
    else peer.socket.resetAndDestroy();
    expect(readMessage(await client.until('backend_refused')).startLine).toBe('HTTP/1.1 502 Bad Gateway');
  });

  it('RST of the server in the middle of a request leaves the client a connection that goes on behind its body', async () => {
    const stage = await stages.set();
    const { peer, client } = await stage.ask('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000005\r\n\r\nhello');
    await peer.until('hello');
    peer.socket.resetAndDestroy();
    expect(readMessage(await client.until('backend_refused')).startLine).toBe('HTTP/1.1 502 Bad Gateway');
    client.write('x'.repeat(1_000_000) + GET);
    (await stage.backend.next()).write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    await client.until('\r\n\r\nok');
  });

  it('FIN of the server in the middle of its head is backend_refused', async () => {
    const stage = await stages.set();
    const { peer, client } = await stage.ask(GET);
    peer.write('HTTP/1.1 200 OK\r\nContent-Le');
    peer.socket.end();
    expect(readMessage(await client.until('backend_refused')).startLine).toBe('HTTP/1.1 502 Bad Gateway');
  });

  it.each([
    ['garbage', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['another version', 'HTTP/3.7 200 OK\r\n\r\n'],
    ['no status', 'HTTP/1.1 OK\r\n\r\n'],
    ['a status below 100', 'HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n'],
    ['a control character in the phrase', 'HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n'],
    ['both framings', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd'],
    ['a length that is none', 'HTTP/1.1 200 OK\r\nContent-Length: 3x\r\n\r\nabc'],
    ['an unknown transfer coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc'],
    ['a coding below the chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
    ['chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['a field without a name', 'HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 0\r\n\r\n'],
    ['a head over 64 KiB', `HTTP/1.1 200 OK\r\nX-A: ${'a'.repeat(70_000)}\r\n\r\n`],
    [
      'a 101 that nobody asked for',
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\ntunnel',
    ],
    ['a 101 without Upgrade', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
  ])('an answer with %s is bad_accept, and the connection is given up', async (_, answer) => {
    const stage = await stages.set();
    const { peer, client } = await stage.ask(GET);
    peer.write(answer);
    expect(readMessage(await client.until('bad_accept'))).toMatchObject({
      startLine: 'HTTP/1.1 502 Bad Gateway',
      body: 'bad_accept',
    });
    expect((await stage.front.ending()).code).toBe('bad_accept');
    await peer.closed();
  });

  it('a body that stops being chunks cuts the client', async () => {
    const stage = await stages.set();
    const { peer, client } = await stage.ask(GET);
    peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
    await client.until('hello');
    peer.write('zz\r\nnonsense\r\n0\r\n\r\n');
    const { bytes } = await client.closed();
    expect(bytes.toString().endsWith('5\r\nhello\r\n')).toBe(true);
    expect((await stage.front.ending()).code).toBe('bad_accept');
  });

  it('interim answers do not make a failure unanswerable', async () => {
    const stage = await stages.set();
    const { peer, client } = await stage.ask(GET);
    peer.write('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n');
    await client.until('103');
    peer.socket.end();
    expect((await client.until('backend_refused')).toString()).toContain('\r\n\r\nHTTP/1.1 502 Bad Gateway\r\n');
  });

  it('a certificate that does not verify is backend_refused, and says so', async () => {
    const backend = await startBackend(makeSelfSigned(['localhost'], new Date()));
    const stage = await stages.set({ backend, secure: true });
    expect((await ownAnswer(stage)).message).toMatch(/self-signed certificate/);
    expect(backend.connections()).toBe(0);
  });

  it('a certificate for another name is backend_refused, and says so', async () => {
    const pair = makeSelfSigned(['elsewhere.test'], new Date());
    const backend = await startBackend(pair);
    const stage = await stages.set({ backend, secure: true, host: 'localhost', engine: { ca: pair.cert } });
    expect((await ownAnswer(stage)).message).toMatch(/does not match certificate's altnames/);
  });

  it('speaks to a server whose certificate verifies, by its own name whatever Host says', async () => {
    const pair = makeSelfSigned(['localhost'], new Date());
    const backend = await startBackend(pair);
    const stage = await stages.set({ backend, secure: true, host: 'localhost', engine: { ca: pair.cert } });
    const { peer, client } = await stage.ask('GET / HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n');
    peer.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    expect(readMessage(await client.until('ok')).startLine).toBe('HTTP/1.1 200 OK');
  });
}
