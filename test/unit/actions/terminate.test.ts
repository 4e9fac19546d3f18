// Terminating a handshake: the route's handler decides, then the session opens, or the client gets the reason why not.
import { afterEach, describe, expect, it, vi } from 'vitest';
import { terminate } from '../../../src/actions/terminate.ts';
import type { SessionEnd } from '../../../src/events.ts';
import { reject } from '../../../src/handshake/rejection.ts';
import type { Accepted, WebSocketAcceptor } from '../../../src/websocket/connection/accept.ts';
import type { Admitted, HandshakeResult, Opening } from '../../../src/websocket/handler.ts';
import { actionFixture, clientEnd, verdictOn } from '../../support/action-fixture.ts';
import { type Change, handshakeHead, terminate as terminateRoute } from '../../support/heads.ts';
import { NO_ACTIVITY } from '../../support/sessions.ts';
import { readAll, socketPair } from '../../support/socket-pair.ts';

const cleanup: (() => void)[] = [];
afterEach(() => {
  for (const undo of cleanup.splice(0).reverse()) undo();
});

const END: SessionEnd = {
  ...{ fromClient: { bytes: 1, messages: 1 }, toClient: { bytes: 2, messages: 1 }, discarded: 0 },
  ...{ code: 1000, initiator: 'client', reason: 'closed', cut: false },
};
const HANDLER = { open: () => ({ message: () => {}, closed: () => {} }) };

type Admit = (opening: Opening) => HandshakeResult | Promise<HandshakeResult>;

async function setUp(admit: Admit, { rules = {}, change = {} as Change, left = false } = {}) {
  const pair = await socketPair();
  cleanup.push(pair.close);
  const accepted: { upgrade: Parameters<WebSocketAcceptor['accept']>[0]; onEnd: (end: SessionEnd) => void }[] = [];
  const acceptor: WebSocketAcceptor = {
    admit,
    accept(upgrade, _factory, onEnd): Accepted | null {
      accepted.push({ upgrade, onEnd });
      return left ? null : { close: () => {}, cut: () => {}, activity: () => NO_ACTIVITY };
    },
  };
  const fixture = actionFixture({}, { acceptor: () => acceptor });
  const client = clientEnd(pair.accepted, 'early');
  const release = vi.fn();
  client.resources.holdPermit({ release } as unknown as Parameters<typeof client.resources.holdPermit>[0]);
  const upgrade = verdictOn('terminate', terminateRoute(rules), handshakeHead(change));
  return {
    ...fixture,
    accepted,
    client,
    release,
    peer: pair.client,
    act: () => terminate(fixture.context, upgrade, client),
  };
}

describe('an admitted handshake', () => {
  it('opens a session with what came behind it, which holds what it held', async () => {
    const { act, accepted, sessions, events, client, release } = await setUp(() => HANDLER);
    expect(await act()).toBeNull();
    expect(accepted[0]?.upgrade).toMatchObject({ key: 'dGhlIHNhbXBsZSBub25jZQ==', version: 13, protocol: null });
    expect(accepted[0]?.upgrade.rest.toString()).toBe('early');
    expect(events).toEqual([expect.objectContaining({ type: 'session_opened', mode: 'terminate', at: null })]);
    client.resources.endHandshake();
    expect([sessions.size, release.mock.calls.length]).toEqual([1, 0]);
    accepted[0]?.onEnd(END);
    expect([sessions.size, release.mock.calls.length]).toEqual([0, 1]);
  });

  it.each<[string, Partial<Admitted>, string | null]>([
    ['the route’s first that was offered', {}, 'b'],
    ['the handler’s', { protocol: 'a' }, 'a'],
    ['none, where the handler says so', { protocol: null }, null],
  ])('gets the subprotocol: %s', async (_, chosen, expected) => {
    const rules = { subprotocols: ['b', 'a'] };
    const change = { fields: { 'Sec-WebSocket-Protocol': 'a, b' } };
    const { act, accepted } = await setUp(() => ({ ...HANDLER, ...chosen }), { rules, change });
    await act();
    expect(accepted[0]?.upgrade.protocol).toBe(expected);
  });

  it('is told to its handler with its offer and who asks', async () => {
    const admit = vi.fn<Admit>(() => HANDLER);
    const change = { fields: { 'Sec-WebSocket-Protocol': 'a, b' } };
    await (await setUp(admit, { change })).act();
    expect(admit).toHaveBeenCalledWith(
      expect.objectContaining({ id: 'c-1', offer: ['a', 'b'], protocol: 'a', principal: null, params: {} }),
    );
  });
});

describe('a refused handshake', () => {
  it('of the gateway’s is its caller’s to answer', async () => {
    const rejection = reject('room_full');
    const { act, accepted, events } = await setUp(async () => rejection);
    expect(await act()).toBe(rejection);
    expect([accepted, events]).toEqual([[], []]);
  });

  it('of a backend’s goes to the client as it is', async () => {
    const at = { upstream: 'hooks', server: 'http://127.0.0.1:1' };
    const refused = { status: 402, phrase: 'Pay', answer: ['X-Why', 'because'], body: Buffer.from('no'), at };
    const { act, accepted, events, peer } = await setUp(async () => refused);
    expect(await act()).toBeNull();
    expect(await readAll(peer)).toMatch(/^HTTP\/1\.1 402 Pay\r\nX-Why: because\r\n(?:.*\r\n)*\r\nno$/);
    expect(accepted).toEqual([]);
    expect(events).toEqual([expect.objectContaining({ type: 'handshake_passed', mode: 'terminate', status: 402, at })]);
  });

  it('by a handler that breaks is its caller’s to answer', async () => {
    const { act, sessions } = await setUp(async () => {
      throw new Error('broken');
    });
    await expect(act()).rejects.toThrow('broken');
    expect(sessions.size).toBe(0);
  });
});

describe('a client that has left', () => {
  it('before its handler decided opens nothing, and the handler is told', async () => {
    const abandon = vi.fn();
    const setting = await setUp(async () => {
      setting.client.clientClosed.notify();
      return { ...HANDLER, abandon };
    });
    await expect(setting.act()).rejects.toMatchObject({ code: 'client_gone' });
    expect(abandon).toHaveBeenCalledTimes(1);
    expect([setting.accepted, setting.sessions.size]).toEqual([[], 0]);
  });

  it('in the moment of its 101 opens nothing either', async () => {
    const abandon = vi.fn();
    const { act, sessions, events, client, release } = await setUp(() => ({ ...HANDLER, abandon }), { left: true });
    await expect(act()).rejects.toMatchObject({ code: 'client_gone' });
    expect(abandon).toHaveBeenCalledTimes(1);
    client.resources.endHandshake();
    expect([sessions.size, events, release.mock.calls.length]).toEqual([0, [], 1]);
  });

  it('before a backend’s refusal gets none', async () => {
    const at = { upstream: 'hooks', server: 'http://127.0.0.1:1' };
    const setting = await setUp(async () => {
      setting.client.clientClosed.notify();
      return { status: 402, phrase: 'Pay', answer: [], body: Buffer.from('no'), at };
    });
    await expect(setting.act()).rejects.toMatchObject({ code: 'client_gone' });
    expect(setting.events).toEqual([]);
  });
});
