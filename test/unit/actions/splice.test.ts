// Splicing a handshake: what the backend is asked, when a tunnel opens and with what, and what the client gets where none
// does. The backend is real, the relay records what it is given.
import { afterEach, describe, expect, it } from 'vitest';
import { createSplice } from '../../../src/actions/splice.ts';
import type { SessionEnd } from '../../../src/events.ts';
import type { RelayEngine, TunnelEnds, TunnelOptions } from '../../../src/relay/relay.ts';
import { actionFixture, clientEnd, verdictOn } from '../../support/action-fixture.ts';
import { type Change, handshakeHead, splice as spliceRoute } from '../../support/heads.ts';
import { type Script, startScripted } from '../../support/scripted.ts';
import { readAll, socketPair } from '../../support/socket-pair.ts';

const cleanup: (() => void)[] = [];
afterEach(() => {
  for (const undo of cleanup.splice(0).reverse()) undo();
});

const switching =
  (fields = ''): Script =>
  (_, accept) =>
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n${fields}\r\n`;

const END: SessionEnd = {
  ...{ fromClient: { bytes: 1, messages: 1 }, toClient: { bytes: 2, messages: 1 }, discarded: 0 },
  ...{ code: 1000, initiator: 'client', reason: 'closed', cut: false },
};

interface Opened {
  readonly ends: TunnelEnds;
  readonly options: TunnelOptions;
  readonly onEnd: (end: SessionEnd) => void;
}

/** A gateway with one backend that answers so; `relayBreaks`: opening a tunnel throws. */
async function setUp(script: Script, { rules = {}, relayBreaks = false, change = {} as Change, behind = '' } = {}) {
  const backend = await startScripted({ '/ws/chat': script });
  const pair = await socketPair();
  cleanup.push(backend.close, pair.close);
  const fixture = actionFixture({ servers: [`ws://127.0.0.1:${backend.port}`] });
  const opened: Opened[] = [];
  const relay = {
    diallerFor: () => null,
    open(ends: TunnelEnds, options: TunnelOptions, onEnd: Opened['onEnd']) {
      if (relayBreaks) throw new Error('the relay broke');
      opened.push({ ends, options, onEnd });
      cleanup.push(() => ends.backend.destroy());
      return { close: () => {}, cut: () => {} };
    },
  } as unknown as RelayEngine;
  const client = clientEnd(pair.accepted, behind);
  cleanup.push(() => client.resources.release());
  const upgrade = verdictOn('splice', spliceRoute(rules), handshakeHead(change));
  return {
    ...fixture,
    backend,
    opened,
    client,
    peer: pair.client,
    act: () => createSplice(relay)(fixture.context, upgrade, client),
    live: () => fixture.pool.serverAt(`ws://127.0.0.1:${backend.port}`)?.live,
    types: () => fixture.events.map(({ type }) => type),
  };
}

describe('a 101', () => {
  it('opens a tunnel, with what has come on either side', async () => {
    const backend: Script = (head, accept) => `${switching('X-Own: a\r\n')(head, accept)}hello`;
    const { act, opened, sessions, types } = await setUp(backend, { behind: 'early' });
    expect(await act()).toBeNull();
    const [{ ends, options }] = opened as [Opened];
    expect(ends.toClient.toString()).toMatch(
      /^HTTP\/1\.1 101 Switching Protocols\r\n(?:.*\r\n)*X-Own: a\r\n(?:.*\r\n)*\r\nhello$/,
    );
    expect(ends.headLength).toBe(ends.toClient.length - 'hello'.length);
    expect([ends.toBackend.toString(), options.route]).toEqual(['early', 'app']);
    expect(sessions.size).toBe(1);
    expect(types()).toEqual(['upstream_connected', 'session_opened']);
  });

  it('makes its session the owner of what the handshake held, until the tunnel ends', async () => {
    const { act, opened, sessions, connections, client, live, types } = await setUp(switching());
    await act();
    client.resources.endHandshake();
    expect([live(), sessions.size, connections.get('c-1')?.describe().mode]).toEqual([1, 1, 'splice']);
    opened[0]!.onEnd(END);
    expect([live(), sessions.size, connections.get('c-1')]).toEqual([0, 0, undefined]);
    expect(types().at(-1)).toBe('session_closed');
  });

  it('comes for a handshake that has the client’s fields, less its own connection’s, and ours', async () => {
    const fields = { Expect: '100-continue', 'Content-Length': '0', 'X-A': 'b', 'X-Forwarded-For': '203.0.113.7' };
    const { act, backend } = await setUp(switching(), { change: { fields } });
    await act();
    const head = backend.heads[0]!;
    expect(head).toMatch(/^GET \/ws\/chat HTTP\/1\.1\r\n/);
    for (const line of ['X-A: b', 'X-Forwarded-For: 203.0.113.9', 'Upgrade: websocket', 'Connection: Upgrade'])
      expect(head).toContain(`\r\n${line}`);
    for (const name of ['Expect', 'Content-Length', '203.0.113.7']) expect(head).not.toContain(name);
  });

  it('with a subprotocol that was offered carries it to the client', async () => {
    const rules = { subprotocols: ['chat.v1', 'chat.v2'] };
    const change = { fields: { 'Sec-WebSocket-Protocol': 'chat.v2, other' } };
    const { act, opened, backend, events } = await setUp(switching('Sec-WebSocket-Protocol: chat.v2\r\n'), {
      rules,
      change,
    });
    await act();
    expect(backend.heads[0]).toMatch(/\r\nSec-WebSocket-Protocol: chat\.v2\r\n/);
    expect(opened[0]?.ends.toClient.toString()).toMatch(/\r\nSec-WebSocket-Protocol: chat\.v2\r\n/);
    expect(events).toContainEqual(expect.objectContaining({ type: 'session_opened', subprotocol: 'chat.v2' }));
  });

  it.each([
    ['whose accept key is another one', (head: string) => switching()(head, 'AAAAAAAAAAAAAAAAAAAAAAAAAAA=')!],
    ['with a subprotocol that nobody offered', switching('Sec-WebSocket-Protocol: other\r\n')],
    ['with an extension that nobody offered', switching('Sec-WebSocket-Extensions: x-other\r\n')],
    [
      'without Upgrade',
      (head: string, accept: string) => switching()(head, accept)!.replace('Upgrade: websocket\r\n', ''),
    ],
  ])('%s opens nothing', async (_, script) => {
    const { act, opened, sessions, client, live, backend } = await setUp(script);
    await expect(act()).rejects.toMatchObject({ code: 'bad_accept', at: { upstream: 'chat' } });
    client.resources.endHandshake();
    expect([opened, sessions.size, live()]).toEqual([[], 0, 0]);
    await expect
      .poll(() => [...backend.sockets].every((socket) => socket.destroyed || socket.readableEnded))
      .toBe(true);
  });

  it('leaves no session behind where the relay breaks', async () => {
    const { act, sessions, connections, client, live, types } = await setUp(switching(), { relayBreaks: true });
    await expect(act()).rejects.toThrow('the relay broke');
    client.resources.endHandshake();
    expect([sessions.size, connections.get('c-1'), live()]).toEqual([0, undefined, 0]);
    expect(types()).toEqual(['upstream_connected']);
  });
});

describe('any other answer', () => {
  it('goes to the client as it is, and opens nothing', async () => {
    const script: Script = () => 'HTTP/1.1 403 Not You\r\nX-Why: because\r\nContent-Length: 2\r\n\r\nno';
    const { act, opened, peer, client, live, events } = await setUp(script);
    const got = readAll(peer);
    expect(await act()).toBeNull();
    client.resources.endHandshake();
    expect(await got).toMatch(
      /^HTTP\/1\.1 403 Not You\r\n(?:.*\r\n)*X-Why: because\r\n(?:.*\r\n)*Connection: close\r\n\r\nno$/,
    );
    expect([opened, live()]).toEqual([[], 0]);
    expect(events.at(-1)).toMatchObject({ type: 'handshake_passed', mode: 'splice', status: 403 });
  });

  it('that ends in the middle of its body is not made a whole one', async () => {
    const script: Script = () => 'HTTP/1.1 403 Not You\r\nContent-Length: 100\r\n\r\nno';
    const { act, backend, peer, client } = await setUp(script);
    const got = readAll(peer);
    const acted = act();
    await expect.poll(() => backend.heads.length).toBe(1);
    for (const socket of backend.sockets) socket.end();
    expect(await acted).toBeNull();
    expect(client.connection).toMatchObject({ destroyed: true });
    expect(await got).toMatch(/\r\nContent-Length: 100\r\n(?:.*\r\n)*\r\nno$/);
  });

  it('that can’t be read to its end is none', async () => {
    const script: Script = () => 'HTTP/1.1 403 Not You\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nno';
    const { act, sessions } = await setUp(script);
    await expect(act()).rejects.toMatchObject({ code: 'bad_accept' });
    expect(sessions.size).toBe(0);
  });
});
