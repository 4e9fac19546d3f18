// One connection of our server: which octets are whose, in which order they are answered, what is held and for how long, and
// what its end means. What the system does with it is e2e/gateway.test.ts and e2e/leaving.test.ts.
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { MemoryBudget } from '../../../../src/base/memory-budget.ts';
import type { ResponseHead } from '../../../../src/proxy/client.ts';
import { type DrivenOptions, driveConnection, type Served, serveAll } from '../../../support/http1.ts';

const GET = 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n';
const LAST = 'GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
const EMPTY: ResponseHead = { status: 200, phrase: null, fields: ['Content-Length', '0'], framing: 'length' };

/** A connection whose requests wait until the test answers them. */
function waiting(options: Partial<DrivenOptions> = {}) {
  const served: Served[] = [];
  const driven = driveConnection({ serve: (one) => void served.push(one), ...options });
  const left: string[] = [];
  return {
    ...driven,
    served,
    targets: () => served.map(({ request }) => request.message.url),
    /** Answers the newest, and lets its next one begin. */
    async answer(head = EMPTY) {
      served.at(-1)!.response.answer(head, null);
      await turn();
    },
    /** Notes what becomes of the newest. */
    watch() {
      served
        .at(-1)!
        .response.notify({ onDrain() {}, onSent: () => left.push('sent'), onClientLeft: () => left.push('left') });
      return left;
    },
  };
}

describe('requests', () => {
  it('are served one after the other, in their order, however they come', async () => {
    const one = waiting();
    one.read(`${GET}GET /b HTTP/1.1\r\nHo`);
    expect(one.targets()).toEqual(['/a']);
    one.read(`st: a\r\n\r\n${LAST}GET /never HTTP/1.1\r\n`);
    await turn();
    expect(one.targets()).toEqual(['/a']);
    await one.answer();
    expect(one.targets()).toEqual(['/a', '/b']);
    await one.answer();
    await one.answer();
    expect(one.targets()).toEqual(['/a', '/b', '/last']);
    expect(one.statuses()).toEqual([200, 200, 200]);
    expect(one.socket.ended).toBe(true);
  });

  it('of which one read holds thousands that are answered at once take no stack', () => {
    const { requests } = serveAll([Buffer.from(GET.repeat(20_000))]);
    expect(requests).toHaveLength(20_000);
  });

  it('of which one read holds many are served one a turn, so that other connections are served between them', async () => {
    const served: string[] = [];
    const both = ['a', 'b'].map((name) =>
      driveConnection({
        serve({ response }) {
          served.push(name);
          response.answer(EMPTY, null);
        },
      }),
    );
    for (const { read } of both) read(GET.repeat(3));
    expect(served).toEqual(['a', 'b']);
    await turn();
    expect(served).toEqual(['a', 'b', 'a', 'b']);
    await turn();
    await turn();
    expect(served).toEqual(['a', 'b', 'a', 'b', 'a', 'b']);
  });

  it('that wait for their turn stop the reading', () => {
    const one = driveConnection({ serve: ({ response }) => response.answer(EMPTY, null) });
    one.read(GET.repeat(3000));
    expect([one.socket.paused, one.statuses()]).toEqual([true, [200]]);
  });

  it('that wait stop the reading, and none of them is lost', async () => {
    const one = waiting();
    const piece = GET.repeat(400);
    let sent = 0;
    for (one.read(piece), sent += 400; !one.socket.paused && sent < 100_000; sent += 400) one.read(piece);
    expect(sent * GET.length).toBeLessThan(64 * 1024 + 2 * piece.length);
    for (let i = 0; i < sent; i++) await one.answer();
    expect(one.targets()).toHaveLength(sent);
    expect([one.socket.paused, one.statuses().length]).toEqual([false, sent]);
  });

  it('that wait on all connections take a bounded memory, and give it back', async () => {
    const budget = new MemoryBudget(1000);
    const one = waiting({ waiting: budget });
    one.read(GET + GET.repeat(20));
    expect(budget.used).toBe(20 * GET.length);
    const two = waiting({ waiting: budget });
    two.read(GET + GET.repeat(30));
    expect(two.refusals).toMatchObject([{ reason: 'limit', status: 503 }]);
    expect([two.socket.destroyed, two.socket.written]).toEqual([true, '']);
    one.socket.destroy();
    expect(budget.used).toBe(0);
  });

  it('are not begun within the answer to the one before', () => {
    const one = waiting();
    one.read(GET + GET);
    one.served[0]!.response.answer(EMPTY, null);
    expect(one.served).toHaveLength(1);
  });

  it('behind a handshake or a CONNECT are nobody’s: all octets go with the connection', () => {
    const upgrade = 'GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: x, Upgrade\r\n\r\n';
    for (const [text, target] of [
      [upgrade, '/ws'],
      ['CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', 'a:1'],
    ] as const) {
      const one = waiting();
      one.read(`${text}octets\0`);
      expect(one.upgrades).toMatchObject([{ target, rest: 'octets\0' }]);
      expect([one.left(), one.socket.paused, one.socket.listenerCount('data')]).toEqual([1, true, 0]);
    }
  });

  it('a handshake waits for the answers before it', async () => {
    const one = waiting();
    one.read(`${GET}GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nx`);
    expect(one.upgrades).toEqual([]);
    await one.answer();
    expect(one.upgrades).toMatchObject([{ rest: 'x' }]);
  });
});

describe('a body', () => {
  const POST = 'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n';

  it('that nobody takes yet waits, and its end is known', () => {
    const one = waiting();
    one.read(`${POST}hel`);
    const { request } = one.served[0]!;
    expect([request.hasBody, request.complete]).toEqual([true, false]);
    one.read('loGET');
    expect([request.complete, request.bodyUsed, request.bodyEnded]).toEqual([true, false, false]);
    const parts: string[] = [];
    request.read({ onBodyPart: (part) => parts.push(part.toString()) > 0, onBodyEnd: () => parts.push('end') });
    expect(parts).toEqual(['hel', 'lo', 'end']);
    expect(request.bodyEnded).toBe(true);
  });

  it('in many chunks is given on as one part a read', () => {
    const one = waiting();
    one.read('POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    const parts: string[] = [];
    one.served[0]!.request.read({
      onBodyPart: (part) => parts.push(part.toString()) > 0,
      onBodyEnd: () => parts.push('end'),
    });
    one.read(`1\r\na\r\n2;x=y\r\nbc\r\n${'1\r\nd\r\n'.repeat(1000)}3\r\nef`);
    one.read('g\r\n0\r\n\r\n');
    expect(parts).toEqual([`abc${'d'.repeat(1000)}ef`, 'g', 'end']);
  });

  it('in many small chunks is read no further before the others have had their turn', async () => {
    const one = waiting();
    one.read('POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    one.served[0]!.request.read({ onBodyPart: () => true, onBodyEnd: () => {} });
    one.read(`4000\r\n${'x'.repeat(0x4000)}\r\n`.repeat(4));
    expect(one.socket.paused).toBe(false);
    one.read('1\r\na\r\n'.repeat(2000));
    expect(one.socket.paused).toBe(true);
    await turn();
    expect(one.socket.paused).toBe(false);
  });

  it('is read no faster than it is taken', () => {
    const one = waiting();
    one.read('POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    const parts: string[] = [];
    const { request } = one.served[0]!;
    request.read({ onBodyPart: (part) => parts.push(part.toString()) < 1, onBodyEnd: () => parts.push('end') });
    one.read('1\r\na\r\n');
    one.read('1\r\nb\r\n');
    expect([parts, one.socket.paused]).toEqual([['a'], true]);
    request.resume();
    expect([parts, one.socket.paused]).toEqual([['a', 'b'], true]);
    one.read('0\r\nX: y\r\n\r\n');
    expect(parts).toEqual(['a', 'b', 'end']);
    expect(request.trailers).toEqual(['X', 'y']);
  });

  it('that waits for long stops the reading', () => {
    const one = waiting();
    one.read('POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n');
    one.read('x'.repeat(64 * 1024 - 1));
    expect(one.socket.paused).toBe(false);
    one.read('x');
    expect(one.socket.paused).toBe(true);
  });

  it('that is malformed is 400 where nothing was answered, and the request is lost', () => {
    const one = waiting();
    one.read('POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    const left = one.watch();
    one.read('zz\r\n');
    expect([left, one.statuses(), one.socket.ended]).toEqual([['left'], [400], true]);
    expect(one.refusals).toMatchObject([{ reason: 'malformed', detail: 'the chunked body is malformed' }]);
  });

  it('that is malformed behind the beginning of an answer cuts that', () => {
    const one = waiting();
    one.read('POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    const left = one.watch();
    const { response } = one.served[0]!;
    response.head({ ...EMPTY, fields: [], framing: 'chunked' });
    response.write(Buffer.from('x'));
    one.read('zz\r\n');
    expect([left, one.socket.destroyed, one.statuses()]).toEqual([['left'], true, [200]]);
  });

  it('that nobody wants is dropped to its end, and the next request is served', async () => {
    const one = waiting();
    one.read(`${POST}he`);
    let dropped = false;
    one.served[0]!.request.discard(() => {
      dropped = true;
    });
    expect(dropped).toBe(false);
    one.read(`llo${GET}`);
    expect(dropped).toBe(true);
    await one.answer();
    expect(one.targets()).toEqual(['/a', '/a']);
  });

  it('is dropped for a bounded time', () => {
    const one = waiting();
    one.read(POST);
    let dropped = false;
    one.served[0]!.request.discard(() => {
      dropped = true;
    });
    expect(one.connection.deadline - performance.now()).toBeLessThanOrEqual(2000);
    one.connection.onDeadline();
    expect([dropped, one.connection.deadline]).toEqual([true, Number.POSITIVE_INFINITY]);
  });

  it('that was not read to its end ends the connection behind the answer', async () => {
    const one = waiting();
    one.read(`${POST}he`);
    await one.answer();
    one.read(`llo${GET}`);
    expect([one.targets(), one.socket.ended]).toEqual([['/a'], true]);
  });
});

describe('the time', () => {
  it('of the first head counts from the beginning, and a silent client gets no answer', () => {
    const one = waiting({ settings: { headMs: 1000 } });
    const { deadline } = one.connection;
    one.connection.onDeadline();
    expect([one.socket.destroyed, one.socket.written]).toEqual([true, '']);
    const two = waiting({ settings: { headMs: 1000 } });
    expect(two.connection.deadline).toBeGreaterThanOrEqual(deadline);
    const before = two.connection.deadline;
    two.read('GET / HTTP');
    two.read('/1.1\r\n');
    expect(two.connection.deadline).toBe(before);
    two.connection.onDeadline();
    expect([two.statuses(), two.socket.ended]).toEqual([[408], true]);
    two.read('Host: a\r\n\r\n');
    expect(two.served).toEqual([]);
  });

  it('of a later head counts from its first octet, the empty line before it aside', async () => {
    const one = waiting({ settings: { headMs: 1000, keepAliveMs: 60_000 } });
    one.read(GET);
    expect(one.connection.deadline).toBe(Number.POSITIVE_INFINITY);
    await one.answer();
    expect(one.connection.deadline - performance.now()).toBeGreaterThan(50_000);
    one.read('\r\n');
    expect(one.connection.deadline - performance.now()).toBeGreaterThan(50_000);
    one.read('G');
    const { deadline } = one.connection;
    expect(deadline - performance.now()).toBeLessThanOrEqual(1000);
    one.read('ET');
    expect(one.connection.deadline).toBe(deadline);
  });

  it('between requests ends the connection without an answer', async () => {
    const one = waiting();
    one.read(GET);
    await one.answer();
    one.connection.onDeadline();
    expect([one.statuses(), one.socket.ended]).toEqual([[200], true]);
  });

  it('is not waited for where the descriptor is needed, but for a first request, the rest of a head and an answer', async () => {
    const between = waiting();
    between.read(GET);
    await between.answer();
    const all = [waiting(), waiting(), waiting(), between];
    all[1]!.read('GET /a HTTP/1.1\r\n');
    all[2]!.read(GET);
    for (const { connection } of all) connection.closeIdle();
    expect(all.map(({ socket }) => socket.destroyed)).toEqual([false, false, false, true]);
  });

  it('behind the last answer is bounded', async () => {
    const one = waiting();
    one.read(LAST);
    await one.answer();
    expect(one.connection.deadline - performance.now()).toBeLessThanOrEqual(2000);
    one.connection.onDeadline();
    expect(one.socket.destroyed).toBe(true);
  });

  it('for the end of an answer is bounded, and it counts as sent when it has left', async () => {
    const one = waiting();
    one.read(GET);
    const left = one.watch();
    one.socket.stalled = true;
    one.served[0]!.response.answer(EMPTY, null);
    expect([left, one.served[0]!.response.bytesToClient]).toEqual([[], 0]);
    expect(one.connection.deadline - performance.now()).toBeLessThanOrEqual(60_000);
    one.socket.flush();
    expect(left).toEqual(['sent']);
    expect(one.served[0]!.response.bytesToClient).toBe(one.socket.written.length);
    const two = waiting();
    two.read(GET);
    const lost = two.watch();
    two.socket.stalled = true;
    two.served[0]!.response.answer(EMPTY, null);
    two.connection.onDeadline();
    expect([lost, two.socket.destroyed]).toEqual([['left'], true]);
  });
});

describe('a FIN', () => {
  const fin = (one: ReturnType<typeof waiting>) => one.socket.emit('end');

  it('where no request is open ends the connection', async () => {
    const one = waiting();
    one.read('\r\n');
    fin(one);
    expect([one.socket.written, one.socket.ended]).toEqual(['', true]);
  });

  it('within a head is answered with 400', () => {
    const one = waiting();
    one.read('GET / HTTP/1.1\r\n');
    fin(one);
    expect([one.statuses(), one.socket.ended]).toEqual([[400], true]);
  });

  it.each(['', ' HTTP/1.0 with keep-alive'])(
    'behind a request that is not the last one means that the client has left%s',
    (old) => {
      const one = waiting();
      one.read(old === '' ? GET : 'GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
      const left = one.watch();
      fin(one);
      expect([left, one.socket.destroyed]).toEqual([['left'], true]);
    },
  );

  it.each([LAST, 'GET /a HTTP/1.0\r\n\r\n'])(
    'behind the last request means that it has finished sending: %j',
    async (text) => {
      const one = waiting();
      one.read(text);
      fin(one);
      expect(one.socket.destroyed).toBe(false);
      await one.answer();
      expect([one.statuses(), one.socket.ended]).toEqual([[200], true]);
    },
  );

  it('within a body means that the client has left, whatever its request said', () => {
    const one = waiting();
    one.read('POST /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhe');
    const left = one.watch();
    fin(one);
    expect([left, one.socket.destroyed]).toEqual([['left'], true]);
  });

  it('behind pipelined requests goes by the newest', async () => {
    const body = 'POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok';
    const one = waiting();
    one.read(GET + body + LAST);
    fin(one);
    for (let i = 0; i < 3; i++) await one.answer();
    expect([one.targets(), one.socket.ended]).toEqual([['/a', '/b', '/last'], true]);
    for (const behind of [
      body,
      `${LAST.slice(0, -2)}`,
      'GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\r\n',
      'no request\r\n\r\n',
    ]) {
      const two = waiting();
      two.read(GET + behind);
      fin(two);
      expect(two.socket.destroyed).toBe(true);
    }
  });
});

describe('an answer', () => {
  /** What is written for an answer of this head and these parts. */
  function written(head: ResponseHead, parts: readonly string[] = [], request = GET) {
    const one = waiting();
    one.read(request);
    const { response } = one.served[0]!;
    response.head(head);
    for (const part of parts) response.write(Buffer.from(part));
    response.end(null, []);
    return { text: one.socket.written, ended: one.socket.ended };
  }

  it('leaves in one write with the first octets of its body, and says what every answer says', () => {
    expect(written({ ...EMPTY, fields: ['Content-Length', '2'] }, ['ok'])).toEqual({
      text: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: now\r\nConnection: keep-alive\r\n\r\nok',
      ended: false,
    });
  });

  it('keeps its own Date, phrase and octets', () => {
    const { text } = written({
      status: 200,
      phrase: 'F\xefne',
      fields: ['date', 'then', 'X', '\xff'],
      framing: 'none',
    });
    expect(text).toBe('HTTP/1.1 200 F\xefne\r\ndate: then\r\nX: \xff\r\nConnection: keep-alive\r\n\r\n');
  });

  it('comes in chunks, with no empty one but the last', () => {
    const { text } = written({ ...EMPTY, fields: [], framing: 'chunked' }, ['a', '', 'x'.repeat(20_000)]);
    expect(text).toContain('Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n4e20\r\nxxx');
    expect(text.endsWith('x\r\n0\r\n\r\n')).toBe(true);
  });

  it('until close ends the connection', () => {
    const { text, ended } = written({ ...EMPTY, fields: [], framing: 'close' }, ['ok']);
    expect(text).toContain('Connection: close\r\n\r\nok');
    expect(ended).toBe(true);
  });

  it.each([
    ['of HEAD', { ...EMPTY, fields: ['Content-Length', '2'] }, 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['204', { ...EMPTY, status: 204, fields: [] }, GET],
    ['304', { ...EMPTY, status: 304, fields: [], framing: 'chunked' as const }, GET],
  ])('%s has no body', (_, head, request) => {
    const { text } = written(head, ['ok'], request);
    expect(text.endsWith('\r\n\r\n')).toBe(true);
    expect(text).not.toContain('chunked');
  });

  it('that says close by itself is the last one, and says it once', () => {
    const { text, ended } = written({ ...EMPTY, fields: ['Connection', 'Upgrade, close'] });
    expect(text.match(/connection/gi)).toHaveLength(1);
    expect(ended).toBe(true);
  });

  it.each([
    ['a field', { ...EMPTY, fields: ['X', 'a\r\nY: b'] }],
    ['a NUL', { ...EMPTY, fields: ['X', '\0'] }],
    ['what is no octet', { ...EMPTY, fields: ['X', '\u010d'] }],
    ['a name', { ...EMPTY, fields: ['X\n', 'a'] }],
    ['a phrase', { ...EMPTY, phrase: 'a\r\nX: y' }],
  ])('with %s that would be another line is not written', (_, head) => {
    const one = waiting();
    one.read(GET);
    const { response } = one.served[0]!;
    expect(() => response.head(head)).toThrow('written');
    expect([one.socket.written, response.headersSent]).toEqual(['', false]);
  });

  it('may have interim ones before it, and none behind its head', () => {
    const one = waiting();
    one.read(GET);
    const { response } = one.served[0]!;
    response.interim(100, 'Continue', []);
    response.interim(103, 'Early Hints', ['Link', '</a>']);
    response.interim(103, 'No\nphrase', []);
    one.socket.writableNeedDrain = true;
    response.interim(103, 'Too many', []);
    response.head(EMPTY);
    response.interim(102, 'Processing', []);
    expect(one.socket.written).toBe('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n');
  });

  it('that fails as it is written is not sent', async () => {
    const one = waiting();
    one.read(GET + GET);
    const left = one.watch();
    one.socket.errored = new Error('EPIPE');
    await one.answer();
    expect([left, one.served.length]).toEqual([[], 1]);
    one.socket.destroy();
    expect(left).toEqual(['left']);
  });

  it('is broken off at once, and by a reset where its end is the connection’s', () => {
    const one = waiting();
    one.read(GET);
    const left = one.watch();
    let resets = 0;
    one.socket.resetAndDestroy = () => {
      resets++;
      one.socket.destroy();
    };
    const { response } = one.served[0]!;
    response.head({ ...EMPTY, fields: [], framing: 'close' });
    response.write(Buffer.from('x'));
    response.cut();
    expect([resets, left, response.closed]).toEqual([1, ['left'], true]);
  });

  it('is broken off behind what has come of it', async () => {
    const one = waiting();
    one.read(GET);
    const { response } = one.served[0]!;
    response.head({ ...EMPTY, fields: ['Content-Length', '5'] });
    response.write(Buffer.from('x'));
    const cut = new Promise<void>((resolve) => response.cutBehind(10_000, resolve));
    expect(one.socket.destroyed).toBe(false);
    await cut;
    expect([one.socket.destroyed, one.socket.written.endsWith('x')]).toEqual([true, true]);
  });
});
