// HTTP engines: what a proxy's client for HTTP/1.1 is known to get wrong, one by one, with the section that says better. The
// traps 5, 6, 11 and 13 have their number in the suites of connections, of interim and early answers, of binding and of the pool.
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { readMessage } from '../support/forwarding.ts';
import type { Stages } from './http-engine.suite.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

export function describeTraps(stages: Stages): void {
  /** A stage that has answered once, on connections that are kept. */
  async function warm() {
    const stage = await stages.set();
    const { peer, client } = await stage.ask(get('/first'));
    peer.write(OK);
    await client.until('ok');
    await stage.front.ending();
    return { ...stage, peer, first: client };
  }

  /** The answer to the next request comes over a fresh connection, and is its own. */
  async function expectFresh({ backend, first, front }: Awaited<ReturnType<typeof warm>>) {
    const before = first.received().length;
    const connections = backend.connections();
    first.write(get('/second'));
    const fresh = await backend.next();
    await fresh.until('GET /second ');
    fresh.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond');
    const bytes = await first.until((all) => all.subarray(before).includes('second'));
    expect(readMessage(bytes.subarray(before))).toMatchObject({ startLine: 'HTTP/1.1 200 OK', body: 'second' });
    expect((await front.ending()).code).toBe('answered');
    expect(backend.connections()).toBe(connections + 1);
  }

  it('1: any number of interim answers passes within a bound (RFC 9110 §15.2)', async () => {
    const { ask } = await stages.set();
    const { peer, client } = await ask(GET);
    // More bytes than one head may have.
    const hint = `HTTP/1.1 103 Early Hints\r\nLink: </${'a'.repeat(400)}>\r\n\r\n`;
    for (let i = 0; i < 300; i++) peer.write(hint);
    peer.write(OK);
    const text = (await client.until('\r\n\r\nok')).toString();
    expect(text.split('HTTP/1.1 103 Early Hints').length).toBeGreaterThan(100);
    expect(text.split('HTTP/1.1 200 OK')).toHaveLength(2);
  });

  it('1: interim answers without end are bad_accept', async () => {
    const { ask, front } = await stages.set();
    const { peer } = await ask(GET);
    for (let i = 0; i < 1001; i++) peer.write('HTTP/1.1 102 Processing\r\n\r\n');
    expect((await front.ending()).code).toBe('bad_accept');
    await peer.closed();
  });

  it.each([
    ['HEAD', '200 OK', 'Content-Length: 4\r\n'],
    ['HEAD', '200 OK', 'Transfer-Encoding: chunked\r\n'],
    ['GET', '204 No Content', ''],
    ['GET', '204 No Content', 'Content-Length: 4\r\n'],
    ['GET', '304 Not Modified', 'Content-Length: 4\r\n'],
    ['GET', '304 Not Modified', ''],
  ])(
    '2: a %s answered %s (%j) with a body all the same: the answer passes, the body does not (RFC 9112 §6.3)',
    async (method, status, field) => {
      for (const connection of ['', 'Connection: close\r\n']) {
        const stage = await stages.set();
        const { peer, client } = await stage.ask(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`);
        peer.write(`HTTP/1.1 ${status}\r\nETag: "x"\r\n${field}${connection}\r\nbody`);
        const message = readMessage(await client.until('\r\n\r\n'));
        expect(message.startLine).toBe(`HTTP/1.1 ${status}`);
        expect((await stage.front.ending()).code).toBe('answered');
        await peer.closed();
        await expectFresh({ ...stage, peer, first: client });
      }
    },
  );

  it.each(['4', '4, 4', '-1', '1e1', '0x4', ''])(
    '2: lengths are decimal and one (%j with a second one)',
    async (length) => {
      const { ask, front } = await stages.set();
      const { peer } = await ask(GET);
      peer.write(`HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: ${length}\r\n\r\nbody`);
      expect((await front.ending()).code).toBe('bad_accept');
    },
  );

  it.each([
    ['a body that is shorter than said', 'Content-Length: 10\r\n\r\nhello'],
    ['chunks without the last one', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'],
    ['a last chunk without the empty line', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n'],
    ['trailers without the empty line', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n'],
  ])('3: %s never looks whole (RFC 9112 §8)', async (_, rest) => {
    const { ask, front } = await stages.set();
    const { peer, client } = await ask(GET);
    peer.write(`HTTP/1.1 200 OK\r\n${rest}`);
    await client.until('hello');
    peer.socket.end();
    const { bytes } = await client.closed();
    expect(bytes.toString()).not.toMatch(/0\r\n(?:A: b\r\n)?\r\n$/);
    expect((await front.ending()).code).toBe('backend_refused');
  });

  it('4: bytes on an idle connection end it, and are nobody’s answer (RFC 9112 §9.2)', async () => {
    const stage = await warm();
    stage.peer.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged');
    await stage.peer.closed();
    await expectFresh(stage);
    expect(stage.first.received().toString()).not.toContain('forged');
  });

  it.each([
    ['an answer', 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged'],
    ['an empty line', '\r\n'],
    ['one octet', 'x'],
  ])('4: %s behind an answer ends the connection, and is nobody’s', async (_, more) => {
    const stage = await stages.set();
    const { peer, client } = await stage.ask(get('/first'));
    peer.write(OK + more);
    await client.until('\r\n\r\nok');
    expect((await stage.front.ending()).code).toBe('answered');
    await peer.closed();
    await expectFresh({ ...stage, peer, first: client });
    expect(client.received().toString()).not.toContain('forged');
  });

  it('4: an empty line before the next status line shifts nothing', async () => {
    const stage = await warm();
    const before = stage.first.received().length;
    stage.first.write(get('/second'));
    await stage.peer.until('GET /second ');
    const body = 'HTTP/1.1 299 Forged\r\nX-Forged: 1\r\n\r\n';
    stage.peer.write(`\r\nHTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    const { code } = await stage.front.ending();
    const bytes = await stage.first.until((all) => /\r\n\r\n[\s\S]+/.test(all.toString('latin1', before)));
    // Skipped, or no answer: never a status or a phrase out of the body.
    const { startLine } = readMessage(bytes.subarray(before));
    expect([startLine, code]).toEqual(
      code === 'answered' ? ['HTTP/1.1 200 OK', code] : ['HTTP/1.1 502 Bad Gateway', 'bad_accept'],
    );
  });

  it('7: HTTP/1.0 ends a connection that it does not say to keep (RFC 9112 §9.3)', async () => {
    const stage = await stages.set();
    const { peer, client } = await stage.ask(get('/first'));
    peer.write('HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok');
    await client.until('\r\n\r\nok');
    await stage.front.ending();
    await peer.closed();
    await expectFresh({ ...stage, peer, first: client });
  });

  it('7: a connection that its server keeps for a second is not kept', async () => {
    const stage = await stages.set();
    const { peer, client } = await stage.ask(get('/first'));
    peer.write('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1, max=100\r\nContent-Length: 2\r\n\r\nok');
    await client.until('\r\n\r\nok');
    await stage.front.ending();
    await peer.closed();
    await expectFresh({ ...stage, peer, first: client });
  });

  it('8: chunk extensions are dropped (RFC 9112 §7.1.1)', async () => {
    const { ask, front } = await stages.set();
    const { peer, client } = await ask(GET);
    peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b;c="d"\r\nhello\r\n0;e\r\n\r\n');
    await client.until('0\r\n\r\n');
    expect(readMessage(client.received()).body).toBe('5\r\nhello\r\n0\r\n\r\n');
    expect((await front.ending()).code).toBe('answered');
  });

  it.each([
    ['a size of more than 52 bits', '10000000000000000\r\n'],
    ['a bare LF behind a size', '5\nhello\r\n0\r\n\r\n'],
    ['a bare LF behind the content', '5\r\nhello\n0\r\n\r\n'],
    ['a blank behind a size', '5 \r\nhello\r\n0\r\n\r\n'],
    ['a sign', '+5\r\nhello\r\n0\r\n\r\n'],
    ['0x', '0x5\r\nhello\r\n0\r\n\r\n'],
    ['content that is longer than said', '5\r\nhello!\r\n0\r\n\r\n'],
    ['a trailer that is no field', '5\r\nhello\r\n0\r\na b\r\n\r\n'],
  ])('8: %s is no chunk', async (_, body) => {
    const { ask, front } = await stages.set();
    const { peer, client } = await ask(GET);
    peer.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n${body}`);
    const { bytes } = await client.closed();
    expect(bytes.toString()).not.toContain('0\r\n\r\n');
    expect((await front.ending()).code).toBe('bad_accept');
    await peer.closed();
  });

  it.each([
    ['a field that goes on in the next line', 'HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 0\r\n\r\n'],
    ['HTTP/2.0', 'HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n'],
    ['a blank before a colon', 'HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n'],
    ['a bare CR', 'HTTP/1.1 200 OK\r\nX-A: 1\rX-B: 2\r\nContent-Length: 0\r\n\r\n'],
    ['a bare LF', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n'],
    ['a NUL', 'HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n'],
    ['two blanks before the status', 'HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n'],
    ['a status of four digits', 'HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n'],
  ])('9: %s is bad_accept (RFC 9112 §4, §5)', async (_, answer) => {
    const { ask, front } = await stages.set();
    const { peer, client } = await ask(GET);
    peer.write(answer);
    expect((await front.ending()).code).toBe('bad_accept');
    await client.until('bad_accept');
    await peer.closed();
  });

  it('9: no blank and no phrase behind the status will do', async () => {
    const { ask, front } = await stages.set();
    const { peer, client } = await ask(GET);
    peer.write('HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok');
    expect(readMessage(await client.until('\r\n\r\nok')).startLine).toMatch(/^HTTP\/1\.1 200 ?$/);
    expect((await front.ending()).code).toBe('answered');
  });

  it('10: answers of many connections at once never mix', async () => {
    const stage = await stages.set();
    const pairs = [];
    for (let i = 0; i < 20; i++) pairs.push(await stage.ask(get(`/${i}`)));
    const letter = (i: number) => String.fromCharCode(97 + i);
    for (const { peer } of pairs) peer.write('HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n');
    for (let part = 0; part < 20; part++)
      for (const [i, { peer }] of pairs.entries()) peer.write(letter(i).repeat(10_000));
    for (const [i, { client }] of pairs.entries()) {
      const bytes = await client.until(
        (all) => all.length > 200_000 && all.indexOf('\r\n\r\n') + 4 + 200_000 <= all.length,
      );
      expect(readMessage(bytes).body === letter(i).repeat(200_000)).toBe(true);
    }
  });

  it('12: the head of a request leaves alone where its body does not come', async () => {
    const { ask } = await stages.set();
    const { peer } = await ask('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n');
    expect(readMessage(peer.received()).startLine).toBe('POST / HTTP/1.1');
  });

  it('12: head and body leave by one write where they came together', async () => {
    const stage = await stages.set();
    const client = await stage.client();
    client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello');
    const peer = await stage.backend.next();
    const [first] = (await once(peer.socket, 'data')) as [Buffer];
    expect(first.toString().endsWith('\r\n\r\nhello')).toBe(true);
  });
}
