// Finding the server that answers a handshake: which answers stand, behind which another server is asked, and what is held.
import { afterEach, describe, expect, it } from 'vitest';
import { HandshakeResources } from '../../../src/actions/handshake-resources.ts';
import { reach, SpliceError } from '../../../src/actions/reach.ts';
import type { GatewayEvent } from '../../../src/events.ts';
import { isRejection } from '../../../src/handshake/rejection.ts';
import { ClientClosed } from '../../../src/net/client-closed.ts';
import type { BoundConnections } from '../../../src/proxy/http-engine.ts';
import type { HandshakeRequest } from '../../../src/upstream/handshake/upgrade.ts';
import { actionFixture, verdictOn } from '../../support/action-fixture.ts';
import { handshakeHead, splice } from '../../support/heads.ts';
import { closedPort, type Script, startScripted } from '../../support/scripted.ts';
import { socketPair } from '../../support/socket-pair.ts';

const cleanup: (() => void)[] = [];
afterEach(() => {
  for (const undo of cleanup.splice(0).reverse()) undo();
});

const switching: Script = (_, accept) =>
  `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;
const status =
  (code: number, fields = ''): Script =>
  () =>
    `HTTP/1.1 ${code} As Told\r\n${fields}Content-Length: 0\r\n\r\n`;

async function server(script: Script) {
  const started = await startScripted({ '/ws/chat': script });
  cleanup.push(started.close);
  return { ...started, url: `ws://127.0.0.1:${started.port}` };
}

/** Asks `first`, and the second where the first one can't. */
async function setUp(first: string, second: string | null, upstream: object = {}) {
  const servers = [first, ...(second === null ? [] : [{ url: second, backup: true }])];
  const { context, pool, events } = actionFixture({ servers, ...upstream });
  const clientClosed = new ClientClosed();
  const handshake = 'GET /ws/chat HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';
  const asking = (): HandshakeRequest => ({
    ...{ preamble: null, handshake, clientClosed },
    timeouts: { connect: 5000, handshake: 5000 },
  });
  const resources = new HandshakeResources();
  cleanup.push(() => resources.release());
  const upgrade = verdictOn('splice', splice(), handshakeHead());
  const way = { resources, dialler: null, bound: null, client: null };
  return {
    events,
    clientClosed,
    resources,
    live: () => [first, second].map((url) => (url === null ? null : pool.serverAt(url)?.live)),
    /** The answer and who gave it, or why there is none. */
    async ask(change: Partial<Parameters<typeof reach>[3]> = {}, request: typeof asking = asking) {
      const reached = await reach(context, upgrade, request, { ...way, ...change });
      if (isRejection(reached)) return reached;
      cleanup.push(() => reached.answer.socket.destroy());
      return { status: reached.answer.head.status, server: reached.lease.server.url };
    },
  };
}

const typesOf = (events: readonly GatewayEvent[]) => events.map(({ type }) => type);

describe('the first server', () => {
  it('that answers 101 is reached, and held until its handshake or session is over', async () => {
    const a = await server(switching);
    const { ask, live, resources, events } = await setUp(a.url, null);
    expect(await ask()).toEqual({ status: 101, server: a.url });
    expect(live()).toEqual([1, null]);
    resources.release();
    expect(live()).toEqual([0, null]);
    expect(typesOf(events)).toEqual(['upstream_connected']);
  });

  it.each([
    ['404', status(404), 404],
    ['500', status(500), 500],
    ['503 with a time to come back', status(503, 'Retry-After: 1\r\n'), 503],
    ['a redirect', status(302, 'Location: /\r\n'), 302],
  ])('that answers %s has answered: no other one is asked', async (_, script, code) => {
    const [a, b] = [await server(script), await server(switching)];
    const { ask } = await setUp(a.url, b.url);
    expect(await ask()).toEqual({ status: code, server: a.url });
    expect(b.heads).toEqual([]);
  });
});

describe('another server', () => {
  it.each([
    ['502', status(502)],
    ['503', status(503)],
    ['504', status(504)],
    ['what is no HTTP', () => 'SSH-2.0-OpenSSH\r\n\r\n'],
  ])('is asked behind one that answers %s, which is released', async (_, script) => {
    const [a, b] = [await server(script), await server(switching)];
    const { ask, live, events } = await setUp(a.url, b.url);
    expect(await ask()).toEqual({ status: 101, server: b.url });
    expect(live()).toEqual([0, 1]);
    expect(a.heads).toHaveLength(1);
    expect(events).toContainEqual(expect.objectContaining({ type: 'upstream_failed', server: a.url, id: 'id-1' }));
    expect(events).toContainEqual({ type: 'upstream_retry', upstream: 'chat', server: a.url, result: 'retried' });
  });

  it('is asked behind one that nobody listens at', async () => {
    const [port, b] = [await closedPort(), await server(switching)];
    const { ask, live } = await setUp(`ws://127.0.0.1:${port}`, b.url);
    expect(await ask()).toEqual({ status: 101, server: b.url });
    expect(live()).toEqual([0, 1]);
  });

  it('is not asked where the upstream retries nothing: the answer stands', async () => {
    const [a, b] = [await server(status(502)), await server(switching)];
    const { ask } = await setUp(a.url, b.url, { retry: 'off' });
    expect(await ask()).toEqual({ status: 502, server: a.url });
    expect(b.heads).toEqual([]);
  });
});

describe('where none is left', () => {
  it('the last failure is the one that is reported, with its server', async () => {
    const [first, second] = [await closedPort(), await closedPort()].map((port) => `ws://127.0.0.1:${port}`);
    const { ask, live, resources } = await setUp(first!, second!);
    const failure = await ask().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(SpliceError);
    expect(failure).toMatchObject({ code: 'backend_refused', at: { upstream: 'chat', server: second } });
    resources.endHandshake();
    expect(live()).toEqual([0, 0]);
  });

  it('the handshake is refused, and nothing was tried', async () => {
    const a = await server(switching);
    const { ask } = await setUp(a.url, null, {
      servers: [{ url: a.url, handshakes_per_second: { rate: 0.001, burst: 1 } }],
    });
    await ask();
    expect(await ask()).toMatchObject({ reason: 'no_server', status: 503 });
    expect(a.heads).toHaveLength(1);
  });
});

it('a client that has left is no server’s failure, and no other one is asked', async () => {
  const [a, b] = [await server(() => null), await server(switching)];
  const { ask, clientClosed, events } = await setUp(a.url, b.url);
  const asked = ask().catch((error: unknown) => error);
  await expect.poll(() => a.heads.length).toBe(1);
  clientClosed.notify();
  expect(await asked).toMatchObject({ code: 'client_gone', at: { server: a.url } });
  expect([b.heads, typesOf(events)]).toEqual([[], []]);
});

it('what breaks on our own side is no server’s failure either', async () => {
  const [a, b] = [await server(switching), await server(switching)];
  const { ask, events, live, resources } = await setUp(a.url, b.url);
  const broken = (): never => {
    throw new TypeError('broken');
  };
  await expect(ask({}, broken)).rejects.toThrow(TypeError);
  expect([a.heads, b.heads, events]).toEqual([[], [], []]);
  resources.endHandshake();
  expect(live()).toEqual([0, 0]);
});

describe('a connection that the client has authenticated', () => {
  /** Whether the server answers on it, or has ended it. */
  async function boundTo(answer: 'answers' | 'has ended') {
    const [a, own, client] = [await server(switching), await socketPair(), await socketPair()];
    cleanup.push(own.close, client.close);
    if (answer === 'answers') own.client.once('data', () => own.client.write(status(403)('', '') ?? ''));
    else own.client.end();
    const bound = {
      servers: () => null,
      take: () => own.accepted,
    } as unknown as BoundConnections;
    return { a, reached: await (await setUp(a.url, null)).ask({ bound, client: client.accepted }) };
  }

  it('is the one that its handshake goes out on', async () => {
    const { a, reached } = await boundTo('answers');
    expect(reached).toEqual({ status: 403, server: a.url });
    expect(a.heads).toEqual([]);
  });

  it('is not missed where its server has ended it in the same moment', async () => {
    const { a, reached } = await boundTo('has ended');
    expect(reached).toEqual({ status: 101, server: a.url });
    expect(a.heads).toHaveLength(1);
  });
});
