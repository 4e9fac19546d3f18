// The native dial: a handshake with one server, by the relay's threads, against raw servers that do everything a server
// must not. That a gateway dialling so serves as one that does not is held by splice.test.ts.
import { execFile } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import net from 'node:net';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LARGEST_ANSWER_HEAD } from '../../src/http/answer.ts';
import { ClientClosed } from '../../src/net/client-closed.ts';
import type { Dialler } from '../../src/net/dialler.ts';
import type { Endpoint } from '../../src/net/endpoint.ts';
import { asStream, FdConnection } from '../../src/net/fd-connection.ts';
import { passAnswer } from '../../src/proxy/pass.ts';
import { ADDON } from '../../src/relay/native/addon.ts';
import { NativeRelay } from '../../src/relay/native/native.ts';
import { canDialNatively, requestNatively } from '../../src/upstream/handshake/native-upgrade.ts';
import { blockThread } from '../support/block-thread.ts';
import { bundle } from '../support/bundle.mjs';
import { startChild } from '../support/child.ts';
import { closedPort } from '../support/scripted.ts';
import { TEST_TIMEOUT_MS } from '../support/test-timeout.ts';
import { spending } from '../support/threads.ts';
import { connect, frame, HEAD, OPTIONS, Peer } from '../support/tunnel-fixture.ts';

const { UPGATE_NATIVE: addon = ADDON } = process.env;

const HANDSHAKE = 'GET /ws HTTP/1.1\r\nHost: a\r\n\r\n';
const SWITCHING = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n';
const EARLY = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n';
const TIMEOUTS = { connect: 5000, handshake: 5000 };

/** Descriptors that are open in this process. */
function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

describe.skipIf(!existsSync(addon))('the native dial', () => {
  const cleanup: (() => unknown)[] = [];
  let relay: NativeRelay;
  let dialler: Dialler;
  let server: Endpoint;
  /** The server's ends of the connections, in their order. */
  let peers: Peer[];
  let waiting: (() => void)[];

  beforeEach(async () => {
    relay = new NativeRelay(2, addon);
    cleanup.push(() => relay.stop());
    const { accepted, dialled } = await connect('plain');
    cleanup.push(() => dialled.destroy());
    dialler = relay.diallerFor(accepted)!;
    peers = [];
    waiting = [];
    const listening = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      peers.push(new Peer(socket));
      for (const wake of waiting.splice(0)) wake();
    });
    await once(listening.listen(0, '127.0.0.1'), 'listening');
    cleanup.push(() => {
      listening.close();
      for (const { socket } of peers) socket.destroy();
      accepted.destroy();
    });
    server = serverAt((listening.address() as net.AddressInfo).port);
  });
  afterEach(async () => {
    for (const undo of cleanup.splice(0).reverse()) await undo();
  });

  const serverAt = (port: number, host = '127.0.0.1'): Endpoint => ({
    url: `ws://${host}:${port}`,
    secure: false,
    host,
    port,
  });

  async function peer(): Promise<Peer> {
    while (peers.length === 0) await new Promise<void>((wake) => waiting.push(wake));
    return peers.shift()!;
  }

  function request(to = server, timeouts = TIMEOUTS, gone = new ClientClosed()) {
    const outcome = requestNatively(dialler, to, {
      preamble: null,
      handshake: HANDSHAKE,
      timeouts,
      clientClosed: gone,
    });
    outcome.catch(() => undefined);
    return outcome;
  }

  /** Starts one; the server's end has read the handshake. */
  async function ask(timeouts = TIMEOUTS, gone = new ClientClosed()) {
    const outcome = request(server, timeouts, gone);
    const at = await peer();
    await at.expect(Buffer.from(HANDSHAKE));
    return { outcome, at };
  }

  it('is for addresses without a zone, and not for TLS or names', () => {
    expect(canDialNatively(serverAt(1))).toBe(true);
    expect(canDialNatively(serverAt(1, '::1'))).toBe(true);
    expect(canDialNatively(serverAt(1, 'fe80::1%lo'))).toBe(false);
    expect(canDialNatively(serverAt(1, 'localhost'))).toBe(false);
    expect(canDialNatively({ ...serverAt(1), secure: true })).toBe(false);
    expect(canDialNatively({ ...serverAt(1), unix: '/run/a.sock' })).toBe(false);
  });

  it('sends the handshake, and gives the head, the rest and a connection that waits', async () => {
    const { outcome, at } = await ask();
    at.send(Buffer.from(`${SWITCHING}first`));
    const answer = await outcome;
    expect(answer.head.status).toBe(101);
    expect(answer.rest.toString()).toBe('first');
    expect(answer.connectMs).toBeGreaterThan(0);
    expect(answer.socket).toBeInstanceOf(FdConnection);
    const socket = asStream(answer.socket);
    at.send(Buffer.from('second'));
    const data = once(socket, 'data');
    socket.resume();
    expect(String((await data)[0])).toBe('second');
    socket.write('third');
    expect((await at.take(5)).toString()).toBe('third');
    expect(at.socket.remotePort).toBe(socket.localPort);
    socket.destroy();
  });

  it('keeps no thread busy with a connection that was given away and has more to read', async () => {
    const { outcome, at } = await ask();
    at.send(Buffer.from(SWITCHING));
    const { socket } = await outcome;
    at.send(Buffer.from('more'));
    expect(await spending()).toBeLessThan(0.1);
    socket.destroy();
  });

  it('reaches an IPv6 address', async () => {
    const six = net.createServer((socket) => socket.end('HTTP/1.1 403 No\r\n\r\n').on('error', () => undefined));
    await once(six.listen(0, '::1'), 'listening');
    cleanup.push(() => six.close());
    const answer = await request(serverAt((six.address() as net.AddressInfo).port, '::1'));
    expect(answer.head.status).toBe(403);
    answer.socket.destroy();
  });

  it('probes a silent server after 60 s', async () => {
    const { outcome, at } = await ask();
    at.send(Buffer.from(SWITCHING));
    const answer = await outcome;
    const port = server.port.toString(16).toUpperCase().padStart(4, '0');
    const ours = readFileSync('/proc/net/tcp', 'latin1')
      .split('\n')
      .find((line) => line.includes(` 0100007F:${port} 01 `));
    // Timer 02 is the keepalive's; its time is in hundredths of a second.
    const [, kind, when = ''] = /(\d\d):([0-9A-F]{8}) [0-9A-F]{8} +\d/.exec(ours ?? '') ?? [];
    expect(kind).toBe('02');
    expect(Number.parseInt(when, 16) / 100).toBeGreaterThan(50);
    expect(Number.parseInt(when, 16) / 100).toBeLessThanOrEqual(60);
    answer.socket.destroy();
  });

  it.each([
    ['a 101 behind interim answers', `${EARLY}${SWITCHING}`, 101],
    ['a refusal', 'HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\n', 403],
  ])('%s is the same at every split, and what follows keeps its order', async (_, text, status) => {
    for (let at = 1; at < text.length; at += 3) {
      const asked = await ask();
      asked.at.send(Buffer.from(text.slice(0, at)));
      await new Promise((wake) => setImmediate(wake));
      asked.at.send(Buffer.from(`${text.slice(at)}1`));
      const answer = await asked.outcome;
      expect(answer.head.status).toBe(status);
      asked.at.send(Buffer.from('234'));
      asked.at.fin();
      const chunks = [answer.rest];
      const socket = asStream(answer.socket);
      socket.on('data', (chunk) => chunks.push(chunk));
      await once(socket.resume(), 'end');
      expect(Buffer.concat(chunks).toString()).toBe('1234');
      socket.destroy();
    }
  });

  it('an answer octet by octet', async () => {
    const { outcome, at } = await ask();
    for (const octet of `${EARLY}${SWITCHING}`) {
      at.socket.write(octet);
      await new Promise((wake) => setImmediate(wake));
    }
    const answer = await outcome;
    expect(answer.head.status).toBe(101);
    answer.socket.destroy();
  });

  it('an answer before the whole handshake has been read', async () => {
    const large = `GET /${'a'.repeat(8 << 20)} HTTP/1.1\r\n\r\n`;
    const outcome = requestNatively(dialler, server, {
      preamble: null,
      handshake: large,
      timeouts: TIMEOUTS,
      clientClosed: new ClientClosed(),
    });
    const at = await peer();
    at.socket.pause();
    at.send(Buffer.from('HTTP/1.1 431 Too Large\r\n\r\n'));
    const answer = await outcome;
    expect(answer.head.status).toBe(431);
    answer.socket.destroy();
  });

  it('a body in pieces is passed on from where the dial stopped', async () => {
    const { outcome, at } = await ask();
    at.send(Buffer.from('HTTP/1.1 401 No\r\nContent-Length: 9\r\n\r\none,'));
    const answer = await outcome;
    const { accepted, dialled } = await connect('plain');
    const client = new Peer(dialled);
    const passed = passAnswer(answer, { kind: 'length', length: 9 }, accepted);
    at.send(Buffer.from('two,'));
    await client.expect(Buffer.from('one,two,'));
    at.send(Buffer.from('3 and what is not the client’s'));
    expect(await passed).toBe(true);
    await client.expect(Buffer.from('3'));
    accepted.destroy();
    dialled.destroy();
    await at.until(({ ended }) => ended);
  });

  it('a refused connection is backend_refused', async () => {
    const nobody = serverAt(await closedPort());
    await expect(request(nobody)).rejects.toMatchObject({
      code: 'backend_refused',
      message: expect.stringContaining(`connecting to ${nobody.url}: connect ECONNREFUSED 127.0.0.1:${nobody.port}`),
      cause: { code: 'ECONNREFUSED' },
    });
  });

  it.each<[string, string, RegExp, (at: Peer) => void]>([
    ['what is no HTTP', 'bad_accept', /this is SSH/, (at) => at.send(Buffer.from('SSH-2.0-x\r\n'))],
    ['its first octet', 'bad_accept', /this is no HTTP: it begins with "X"/, (at) => at.send(Buffer.from('X'))],
    [
      'a line without CR',
      'bad_accept',
      /without CR/,
      (at) => at.send(Buffer.from('HTTP/1.1 101 x\nUpgrade: websocket\n\n')),
    ],
    ['a malformed head', 'bad_accept', /malformed/, (at) => at.send(Buffer.from('HTTP/1.1 1x1\r\n\r\n'))],
    ['an end before the answer', 'backend_refused', /ended the connection/, (at) => at.fin()],
    ['an end within the head', 'backend_refused', /ended the connection/, (at) => at.socket.end('HTTP/1.1 101')],
    ['a reset', 'backend_refused', /read ECONNRESET/, (at) => at.reset()],
    [
      'a head that has no end',
      'bad_accept',
      /too large/,
      (at) => at.send(Buffer.from(`HTTP/1.1 101 x\r\nX: ${'a'.repeat(LARGEST_ANSWER_HEAD)}`)),
    ],
    [
      'interim answers that have no end',
      'bad_accept',
      /too large/,
      (at) => at.send(Buffer.from(EARLY.repeat(LARGEST_ANSWER_HEAD / 40))),
    ],
  ])('%s is %s, and the connection is gone', async (_, code, message, act) => {
    const { outcome, at } = await ask();
    act(at);
    await expect(outcome).rejects.toMatchObject({
      name: 'GatewayError',
      code,
      message: expect.stringMatching(message),
    });
    await at.until(({ ended, closed, error }) => ended || closed || error !== null);
  });

  it('a reset in the middle of the head is backend_refused', async () => {
    const { outcome, at } = await ask();
    at.socket.write('HTTP/1.1 101 Swi', () => setTimeout(() => at.reset(), 20));
    await expect(outcome).rejects.toMatchObject({ code: 'backend_refused' });
  });

  it.each<[string, (at: Peer) => void]>([
    ['no answer', () => undefined],
    ['half a head', (at) => at.send(Buffer.from('HTTP/1.1 101 Swi'))],
    ['interim answers only', (at) => at.send(Buffer.from(`${EARLY}HTTP/1.1`))],
  ])('%s in time is backend_timeout, and the connection ends', async (_, act) => {
    const { outcome, at } = await ask({ ...TIMEOUTS, handshake: 80 });
    act(at);
    await expect(outcome).rejects.toMatchObject({
      code: 'backend_timeout',
      message: expect.stringMatching(/no answer/),
    });
    await at.until(({ ended }) => ended);
  });

  /** A port on which connections are queued by the kernel until the queue is full, and then not even answered. */
  async function deafPort(): Promise<number> {
    const code =
      'const s=require("net").createServer();s.listen({port:0,host:"127.0.0.1",backlog:1},()=>console.log(s.address().port))';
    const child = await startChild(process.execPath, ['-e', code]);
    cleanup.push(() => child.stop('SIGKILL'));
    const port = await child.line((line) => Number(line), 'the port');
    child.signal('SIGSTOP');
    for (let full = false; !full; ) {
      const socket = net.connect({ host: '127.0.0.1', port });
      socket.on('error', () => undefined);
      cleanup.push(() => socket.destroy());
      // Timers go first: a connection that stands by then is heard of before the second immediate.
      const late = new Promise<boolean>((wake) => {
        setTimeout(() => setImmediate(() => setImmediate(() => wake(socket.connecting))), 300);
      });
      full = await Promise.race([once(socket, 'connect').then(() => false), late]);
    }
    return port;
  }

  it('a connection that is never accepted is backend_timeout, and can be cancelled before that', async () => {
    const deaf = serverAt(await deafPort());
    await expect(request(deaf, { ...TIMEOUTS, connect: 100 })).rejects.toMatchObject({
      code: 'backend_timeout',
      message: expect.stringMatching(/no connection/),
    });
    const before = descriptors();
    const gone = new ClientClosed();
    const outcome = request(deaf, TIMEOUTS, gone);
    await expect.poll(descriptors).toBe(before + 1);
    gone.notify();
    await expect(outcome).rejects.toMatchObject({ code: 'client_gone' });
    await expect.poll(descriptors).toBe(before);
  });

  it.each<[string, (at: Peer) => void]>([
    ['before the answer', () => undefined],
    ['within the head', (at) => at.send(Buffer.from('HTTP/1.1 101'))],
    ['after interim answers', (at) => at.send(Buffer.from(EARLY))],
  ])('a client that leaves %s is client_gone, and the connection ends', async (_, act) => {
    const gone = new ClientClosed();
    const { outcome, at } = await ask(TIMEOUTS, gone);
    act(at);
    await new Promise((wake) => setTimeout(wake, 20));
    gone.notify();
    await expect(outcome).rejects.toMatchObject({ code: 'client_gone' });
    // Where the answer was not read yet, the connection is reset.
    await at.gone();
  });

  it('a client that leaves when the answer is on its way: the answer’s connection ends', async () => {
    const gone = new ClientClosed();
    const { outcome, at } = await ask(TIMEOUTS, gone);
    await new Promise<unknown>((written) => at.socket.write(SWITCHING, written));
    // The thread reads it while this one hears nothing.
    blockThread(60);
    gone.notify();
    await expect(outcome).rejects.toMatchObject({ code: 'client_gone' });
    // Where the answer was not read yet, the connection is reset.
    await at.gone();
  });

  it('one that has left before is not dialled for', async () => {
    const gone = new ClientClosed();
    gone.notify();
    await expect(request(server, TIMEOUTS, gone)).rejects.toMatchObject({ code: 'client_gone' });
    expect(peers).toEqual([]);
  });

  it('a relay that has stopped dials nothing', async () => {
    const { outcome, at } = await ask();
    relay.stop();
    await at.until(({ ended }) => ended);
    await expect(request()).rejects.toMatchObject({ code: 'limit' });
    await expect(Promise.race([outcome, Promise.resolve('pending')])).resolves.toBe('pending');
  });

  it('a tunnel takes the connection over as it is, early bytes first', async () => {
    const { outcome, at } = await ask();
    at.send(Buffer.concat([Buffer.from(SWITCHING), frame('glued')]));
    const answer = await outcome;
    at.send(frame('behind'));
    const { accepted, dialled } = await connect('plain');
    const client = new Peer(dialled);
    const before = descriptors();
    const ends = { client: accepted, backend: answer.socket, headLength: HEAD.length };
    const early = { toClient: Buffer.concat([HEAD, answer.rest]), toBackend: frame('hello', { mask: true }) };
    const ended = new Promise((resolve) => relay.open({ ...ends, ...early }, OPTIONS, resolve));
    await client.expect(HEAD, frame('glued'), frame('behind'));
    await at.expect(frame('hello', { mask: true }));
    // The client's copy in place of node's, and none of the backend's.
    await expect.poll(descriptors).toBe(before);
    client.reset();
    await at.until(({ ended: over }) => over);
    at.fin();
    expect(await ended).toMatchObject({ initiator: 'client', reason: 'reset' });
  });

  it('a tunnel that cannot be opened leaves the connection to node', async () => {
    const { outcome, at } = await ask();
    at.send(Buffer.from(SWITCHING));
    const answer = await outcome;
    const { accepted, dialled } = await connect('plain');
    relay.stop();
    const ends = { client: accepted, backend: answer.socket, toClient: HEAD, headLength: HEAD.length };
    expect(relay.tryOpen({ ...ends, toBackend: Buffer.alloc(0) }, OPTIONS, () => undefined)).toBeNull();
    const socket = asStream(answer.socket);
    socket.write('still open');
    expect((await at.take(10)).toString()).toBe('still open');
    for (const one of [socket, accepted, dialled]) one.destroy();
  });

  it('dials that end in every way at once each tell it once, and no descriptor is left', async () => {
    const before = descriptors();
    const nobody = serverAt(await closedPort());
    const outcomes: Promise<string>[] = [];
    const hurried: Promise<string>[] = [];
    const served: Peer[] = [];
    let silent: Peer[] | null = [];
    const stop = setInterval(() => {
      for (const at of peers.splice(0)) {
        const way = served.push(at) % 6;
        if (way === 0) at.send(Buffer.from(SWITCHING));
        else if (way === 1) at.reset();
        else if (way === 2) at.fin();
        else if (way === 3)
          at.send(Buffer.concat([Buffer.from(EARLY), randomBytes(randomInt(3000)), Buffer.from('\r\n\r\n')]));
        else if (way === 4) at.socket.end(`${EARLY}${SWITCHING}`);
        else if (silent === null) at.reset();
        else silent.push(at);
      }
    }, 1);
    cleanup.push(() => clearInterval(stop));
    for (let round = 0; round < 40; round++) {
      for (let i = 0; i < 15; i++) {
        const gone = new ClientClosed();
        // However slow the machine is, half of those of each way are there when their answer comes.
        const patient = (round + i) % 2 === 0;
        const timeouts = { connect: TEST_TIMEOUT_MS, handshake: patient ? TEST_TIMEOUT_MS : 5 + randomInt(60) };
        const outcome = request(i === 0 ? nobody : server, timeouts, gone).then(
          (answer) => {
            answer.socket.destroy();
            return 'answered';
          },
          (error: { code: string }) => error.code,
        );
        outcomes.push(outcome);
        if (!patient) hurried.push(outcome);
        if (i % 5 === 1) setTimeout(() => gone.notify(), randomInt(12));
      }
      await new Promise((wake) => setTimeout(wake, randomInt(6)));
    }
    await Promise.all(hurried);
    for (const at of silent.splice(0)) at.reset();
    silent = null;
    const told = await Promise.all(outcomes);
    expect(told).toHaveLength(600);
    expect(new Set(told)).toEqual(
      new Set(['answered', 'backend_refused', 'backend_timeout', 'bad_accept', 'client_gone']),
    );
    for (const at of [...served, ...peers]) at.socket.destroy();
    await expect.poll(descriptors).toBeLessThanOrEqual(before + 2);
  });

  it('without a descriptor is limit, and the next dial works', async () => {
    const names = ['relay/native/native.ts', 'upstream/handshake/native-upgrade.ts', 'net/client-closed.ts'];
    const files = (await bundle(...names.map((name) => `src/${name}`))).map((url) => JSON.stringify(url));
    const code = `
      import { closeSync, openSync } from 'node:fs';
      import net from 'node:net';
      const { NativeRelay } = await import(${files[0]});
      const { requestNatively } = await import(${files[1]});
      const { ClientClosed } = await import(${files[2]});
      const relay = new NativeRelay(1, ${JSON.stringify(addon)});
      const server = net.createServer((socket) => socket.end('HTTP/1.1 403 No\\r\\n\\r\\n'));
      await new Promise((done) => server.listen(0, '127.0.0.1', done));
      const { port } = server.address();
      const client = net.connect(port, '127.0.0.1');
      await new Promise((done) => client.once('connect', done));
      const dialler = relay.diallerFor(client);
      const to = { upstream: 'u', url: 'ws://u', secure: false, host: '127.0.0.1', port, live: 0 };
      const ask = () => requestNatively(dialler, to, { preamble: null, handshake: 'GET', timeouts: { connect: 30000, handshake: 30000 }, clientClosed: new ClientClosed() })
        .then((answer) => (answer.socket.destroy(), answer.head.status), (error) => error.code + ' ' + error.cause?.code);
      const held = [];
      try { for (;;) held.push(openSync('/dev/null')); } catch {}
      const without = await ask();
      for (const fd of held) closeSync(fd);
      console.log(JSON.stringify([without, await ask()]));
      process.exit(0);`;
    const { stdout } = await promisify(execFile)('sh', [
      '-c',
      'ulimit -n 80; exec "$0" --input-type=module -e "$1"',
      process.execPath,
      code,
    ]);
    expect(JSON.parse(stdout)).toEqual(['limit EMFILE', 403]);
  });
});
