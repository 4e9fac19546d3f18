// Moving the body of an answer that is no 101: to its end and no further, no faster than the client takes it, and always
// with the server's connection gone at the end.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { Framing } from '../../../src/http/answer.ts';
import { passAnswer } from '../../../src/proxy/pass.ts';
import { settled } from '../../support/quiet.ts';

const HEAD = { version: '1.1', status: 401, phrase: '', fields: [], names: [] };
const open: { destroy(): void }[] = [];
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy();
});

/** Two ends of one connection; the first is ours. */
async function pair(): Promise<[Socket, Socket]> {
  const listening = createServer({ allowHalfOpen: true });
  await once(listening.listen(0, '127.0.0.1'), 'listening');
  const accepted = once(listening, 'connection') as Promise<[Socket]>;
  const ours = connect({ port: (listening.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
  const [theirs] = await accepted;
  await once(ours, 'connect');
  listening.close();
  for (const socket of [ours, theirs]) open.push(socket.on('error', () => {}));
  return [ours, theirs];
}

/** A passing between a server and a client whose other ends are the test's. */
async function passing(framing: Framing, rest = '') {
  const [backend, server] = await pair();
  const [client, reader] = await pair();
  const chunks: Buffer[] = [];
  reader.on('data', (chunk) => chunks.push(chunk));
  backend.pause();
  const head = { version: '1.1', status: 200, phrase: '', fields: [], names: [] };
  const whole = passAnswer({ socket: backend, head, rest: Buffer.from(rest), connectMs: 0 }, framing, client);
  const got = () => Buffer.concat(chunks).toString('latin1');
  /** All that the client got, once its connection is ended. */
  const all = async () => {
    const ended = reader.readableEnded || once(reader, 'end');
    client.end();
    await ended;
    return got();
  };
  return { backend, server, client, reader, whole, got, all };
}

describe('a body', () => {
  it.each<[string, Framing, string, string]>([
    ['of no bytes', { kind: 'none' }, '', 'stray'],
    ['of a length', { kind: 'length', length: 5 }, 'hello', 'HTTP/1.1 200 smuggled'],
    ['in chunks', { kind: 'chunked' }, '3\r\nabc\r\n0\r\nX: y\r\n\r\n', 'HTTP/1.1 200 smuggled'],
  ])('%s ends where it ends, with the head, behind it, or in pieces', async (_, framing, body, behind) => {
    const together = await passing(framing, body + behind);
    expect(await together.whole).toBe(true);
    expect(await together.all()).toBe(body);

    const apart = await passing(framing, body.slice(0, 2));
    apart.server.write(body.slice(2) + behind);
    expect(await apart.whole).toBe(true);
    expect(await apart.all()).toBe(body);
    expect(apart.backend.destroyed).toBe(true);
  });

  it('until close ends with the connection', async () => {
    const { server, whole, all } = await passing({ kind: 'close' }, 'first,');
    server.end('last');
    expect(await whole).toBe(true);
    expect(await all()).toBe('first,last');
  });

  it('goes no faster than the client takes it', async () => {
    const length = 24 << 20;
    const { server, reader, whole, got } = await passing({ kind: 'length', length });
    reader.pause();
    server.end(Buffer.alloc(length, 'x'));
    // What two connections on loopback hold, and no more.
    expect(await settled(() => server.bytesWritten - server.writableLength, 200)).toBeLessThan(length);
    reader.resume();
    expect(await whole).toBe(true);
    await expect.poll(() => got().length).toBe(length);
  });
});

describe('what is not whole is told', () => {
  it.each<[string, Framing, string, (server: Socket) => void]>([
    ['an end before the length', { kind: 'length', length: 5 }, 'hel', (server) => server.end('l')],
    ['an end within the chunks', { kind: 'chunked' }, '3\r\na', (server) => server.end('bc\r\n')],
    ['a reset', { kind: 'length', length: 5 }, 'hel', (server) => server.resetAndDestroy()],
    ['a reset of what ends by its connection', { kind: 'close' }, 'hel', (server) => server.resetAndDestroy()],
    ['chunks that are none', { kind: 'chunked' }, '', (server) => server.write('x\r\n')],
    ['chunks that are none with the head', { kind: 'chunked' }, 'x\r\n', () => {}],
  ])('%s', async (_, framing, rest, act) => {
    const { backend, server, whole } = await passing(framing, rest);
    act(server);
    expect(await whole).toBe(false);
    expect(backend.destroyed).toBe(true);
  });

  it('a client that leaves', async () => {
    const { backend, server, client, whole } = await passing({ kind: 'length', length: 5 }, 'hel');
    const ended = once(server.resume(), 'end');
    client.destroy();
    expect(await whole).toBe(false);
    expect(backend.destroyed).toBe(true);
    await ended;
  });

  it('a client that has left', async () => {
    const [backend, server] = await pair();
    const [client] = await pair();
    client.destroy();
    const ended = once(server.resume(), 'end');
    const head = { version: '1.1', status: 200, phrase: '', fields: [], names: [] };
    const answer = { socket: backend, head, rest: Buffer.from('all'), connectMs: 0 };
    expect(await passAnswer(answer, { kind: 'length', length: 3 }, client)).toBe(false);
    await ended;
  });

  it('a server that stops in the middle of it', async () => {
    const { backend, whole } = await passing({ kind: 'length', length: 5 }, 'hel');
    // The wait is the socket's own timer; a minute is too long to wait for in a test.
    expect(backend.timeout).toBe(60_000);
    backend.emit('timeout');
    expect(await whole).toBe(false);
    expect(backend.destroyed).toBe(true);
  });
});

describe('a connection that is to be kept', () => {
  it.each([
    ['is, paused and without a listener of ours, where nothing stands behind the body', 'body', true],
    ['is none where something does', 'bodyHTTP/1.1 200', false],
  ])('%s', async (_, rest, kept) => {
    const [backend, server] = await pair();
    const [client] = await pair();
    backend.pause();
    const before = backend.eventNames();
    const answer = { socket: backend, head: HEAD, rest: Buffer.from(rest), connectMs: 0 };
    const given: Socket[] = [];
    const keep = (socket: Socket) => void given.push(socket);
    expect(await passAnswer(answer, { kind: 'length', length: 4 }, client, keep)).toBe(true);
    expect([given, backend.destroyed]).toEqual(kept ? [[backend], false] : [[], true]);
    if (!kept) return;
    expect([backend.eventNames(), backend.isPaused()]).toEqual([before, true]);
    server.write('next');
    const came = once(backend, 'data');
    backend.resume();
    expect(String((await came)[0])).toBe('next');
  });
});
