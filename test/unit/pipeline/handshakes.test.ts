// Handshakes from either way of accepting: which of them are taken without node, and that what each acquires is released
// once, whichever way it ends.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ClientEnd, RouteContext, Services } from '../../../src/actions/context.ts';
import { setPeer } from '../../../src/actions/peer.ts';
import type { Splice } from '../../../src/actions/splice.ts';
import type { Authenticator } from '../../../src/auth/authenticator.ts';
import type { GatewayEvent, SessionEnd } from '../../../src/events.ts';
import { reject } from '../../../src/handshake/rejection.ts';
import { compileTrustedProxies } from '../../../src/http/forwarding/forwarded.ts';
import type { RequestHead } from '../../../src/http/head.ts';
import { Limits } from '../../../src/limits/limits.ts';
import { LimitsRuntime } from '../../../src/limits/limits-runtime.ts';
import { onNodeUpgrade } from '../../../src/listen/node/upgrades.ts';
import { FdConnection } from '../../../src/net/fd-connection.ts';
import { AccessPhase } from '../../../src/pipeline/access.ts';
import { Handshakes } from '../../../src/pipeline/handshakes.ts';
import type { Snapshot } from '../../../src/runtime/snapshot.ts';
import { LiveSession } from '../../../src/sessions/live.ts';
import { Registry } from '../../../src/sessions/registry.ts';
import type { Lease } from '../../../src/upstream/lease.ts';
import { configOf, handshakeHead, plainHead, splice, tableOf, terminate } from '../../support/heads.ts';
import { IDENTITY } from '../../support/sessions.ts';

const CLIENT = { address: '192.0.2.1', port: 1234, destination: null };

const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo();
});

/** One live session a client; `splice` is the action under the test's control. */
function setUp(action: Splice) {
  const routes = [
    { name: 'app', match: { path: '/ws/*' }, ...splice({ limits: { connections_per_ip: 1 } }) },
    { name: 'echo', match: { path: '/echo' }, ...terminate() },
    { name: 'old', match: { path: '/old' }, redirect: { path: '/new' } },
  ];
  const events: GatewayEvent[] = [];
  let authenticator: Authenticator | null = null;
  const sessions = new Registry();
  const services = {
    emit: (event: GatewayEvent) => void events.push(event),
    sessions,
    limits: new Limits(configOf(routes), null),
    authenticator: () => authenticator,
  } as unknown as Services;
  const snapshot = { table: tableOf(...routes), trusted: compileTrustedProxies([]), services } as unknown as Snapshot;
  const state = { draining: false };
  const options = {
    snapshot: () => snapshot,
    access: new AccessPhase(new LimitsRuntime().admission),
    splice: action,
    watchClient: () => null,
    challengeText: () => null,
  };
  const handshakes = new Handshakes(options, state);
  return {
    handshakes,
    events,
    sessions,
    state,
    authenticate: (authenticate: Authenticator['authenticate']) => {
      authenticator = { authenticate };
    },
    /** Offers a handshake, and waits until it is over. */
    async offer(head: RequestHead) {
      const connection = new FdConnection(-1, 0);
      setPeer(connection, CLIENT);
      const offered = handshakes.offer(messageOf(head), connection, Buffer.alloc(0), () => {});
      await vi.waitFor(() => expect(handshakes.underWay()).toBe(0));
      return offered;
    },
  };
}

const messageOf = ({ method, target, version, fields }: RequestHead) => ({
  method,
  url: target,
  httpVersion: version,
  rawHeaders: [...fields],
});

const reasons = (events: readonly GatewayEvent[]) =>
  events.map((event) => ('reason' in event ? [event.type, event.reason] : [event.type]));

/** A lease that says whether it was released, and how often. */
function leaseOf() {
  const release = vi.fn();
  return { release, lease: { release } as unknown as Lease };
}

/** A session as the action opens it. */
function openSession({ services, subject }: RouteContext, { resources }: ClientEnd): LiveSession {
  return new LiveSession(
    {
      ...{ type: 'session_opened', ...subject, route: 'app', connection: subject.id, mode: 'splice', at: null },
      ...{ origin: null, subprotocol: null, durationMs: 0 },
    },
    { registry: services.sessions, emit: services.emit, resources, expiresAt: null, identity: IDENTITY },
  );
}

const END: SessionEnd = {
  ...{ fromClient: { bytes: 0, messages: null }, toClient: { bytes: 0, messages: null }, discarded: 0 },
  ...{ code: null, initiator: 'client', reason: 'closed', cut: false },
};

describe('an offered handshake', () => {
  it('is taken where its verdict is splice', async () => {
    const action = vi.fn(async () => null);
    const { offer } = setUp(action);
    expect(await offer(handshakeHead())).toBe('taken');
    expect(action).toHaveBeenCalledTimes(1);
  });

  it.each([
    ['of a route that terminates', handshakeHead({ target: '/echo' })],
    ['of a route that answers by itself', handshakeHead({ target: '/old' })],
    ['that no route takes', handshakeHead({ target: '/nowhere' })],
    ['without a key', handshakeHead({ fields: { 'Sec-WebSocket-Key': null } })],
    ['of a strange origin', handshakeHead({ fields: { Origin: 'https://evil.example' } })],
    ['that is none', plainHead()],
  ])('%s is declined, and nothing has happened', async (_, head) => {
    const action = vi.fn(async () => null);
    const { offer, events } = setUp(action);
    expect(await offer(head)).toBe('declined');
    expect([action.mock.calls, events]).toEqual([[], []]);
  });

  it('is declined while the gateway drains: node’s server refuses it', async () => {
    const { offer, state } = setUp(async () => null);
    state.draining = true;
    expect(await offer(handshakeHead())).toBe('declined');
  });

  it('is under way until it is answered', async () => {
    let answer!: () => void;
    const { handshakes } = setUp(() => new Promise((resolve) => (answer = () => resolve(null))));
    const connection = new FdConnection(-1, 0);
    expect(handshakes.offer(messageOf(handshakeHead()), connection, Buffer.alloc(0), () => {})).toBe('taken');
    expect(handshakes.underWay()).toBe(1);
    await vi.waitFor(() => expect(answer).toBeDefined());
    answer();
    await vi.waitFor(() => expect(handshakes.underWay()).toBe(0));
  });
});

describe('permit and lease', () => {
  /** Its client holds nothing: another handshake of it is not refused. */
  async function expectFree({ offer, events }: ReturnType<typeof setUp>) {
    events.length = 0;
    await offer(handshakeHead());
    expect(reasons(events)).not.toContainEqual(['handshake_rejected', 'client_limit']);
  }

  it.each<[string, () => ReturnType<Splice>, unknown[]]>([
    ['passed a backend’s answer', async () => null, []],
    ['was refused by its action', async () => reject('no_server'), ['handshake_rejected', 'no_server']],
    [
      'broke',
      async () => {
        throw new Error('broken');
      },
      ['handshake_failed', 'internal'],
    ],
  ])('of one that %s are released once', async (_, act, reported) => {
    const { release, lease } = leaseOf();
    const gateway = setUp((_context, _upgrade, { resources }) => {
      resources.holdLease(lease);
      return act();
    });
    expect(await gateway.offer(handshakeHead())).toBe('taken');
    expect(reasons(gateway.events)).toEqual(reported.length === 0 ? [] : [reported]);
    expect(release).toHaveBeenCalledTimes(1);
    await expectFree(gateway);
  });

  it('of one that opened a session are the session’s, and are released at its end', async () => {
    const { release, lease } = leaseOf();
    const opened: LiveSession[] = [];
    const gateway = setUp(async (context, _upgrade, client) => {
      client.resources.holdLease(lease);
      opened.push(openSession(context, client));
      return null;
    });
    await gateway.offer(handshakeHead());
    expect(release).not.toHaveBeenCalled();
    gateway.events.length = 0;
    await gateway.offer(handshakeHead());
    expect(reasons(gateway.events)).toEqual([['handshake_rejected', 'client_limit']]);
    opened[0]?.end(END);
    expect(release).toHaveBeenCalledTimes(1);
    await expectFree(gateway);
  });

  it('of the server before are released when the next one is asked', async () => {
    const [first, second] = [leaseOf(), leaseOf()];
    const seen: number[][] = [];
    const gateway = setUp(async (_context, _upgrade, { resources }) => {
      for (const { lease } of [first, second]) {
        resources.holdLease(lease);
        seen.push([first, second].map(({ release }) => release.mock.calls.length));
      }
      return null;
    });
    await gateway.offer(handshakeHead());
    expect(seen).toEqual([
      [0, 0],
      [1, 0],
    ]);
    expect([first, second].map(({ release }) => release.mock.calls.length)).toEqual([1, 1]);
  });

  it.each<[string, Authenticator['authenticate'], unknown[]]>([
    ['refused', async () => reject('auth'), ['handshake_rejected', 'auth']],
    [
      'broken',
      async () => {
        throw new Error('broken');
      },
      ['handshake_failed', 'internal'],
    ],
    [
      'passed on',
      async () => ({ status: 403, phrase: 'No', answer: [], body: Buffer.from('no') }),
      ['handshake_rejected', 'auth'],
    ],
  ])('of one whose credentials were %s are released', async (_, authenticate, reported) => {
    const action = vi.fn(async () => null);
    const gateway = setUp(action);
    gateway.authenticate(authenticate);
    await gateway.offer(handshakeHead());
    expect(reasons(gateway.events)).toEqual([reported]);
    expect(action).not.toHaveBeenCalled();
    gateway.authenticate(() => ({ subject: 'ada', claims: {}, expiresAt: null, fields: [] }));
    await expectFree(gateway);
    expect(action).toHaveBeenCalledTimes(1);
  });
});

describe('a handshake of node’s server', () => {
  /** A connection of which node's parser has read this head, and what its client gets. */
  async function upgrade(gateway: ReturnType<typeof setUp>, text: string): Promise<string> {
    const server = createServer();
    await once(server.listen(0, '127.0.0.1'), 'listening');
    cleanup.push(() => server.close());
    server.on('upgrade', (req: IncomingMessage, socket: Socket, rest: Buffer) => {
      setPeer(socket, CLIENT);
      void onNodeUpgrade(gateway.handshakes, req, { server: server as Server, socket, rest });
    });
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    cleanup.push(() => client.destroy());
    client.end(text);
    let got = '';
    client.on('data', (part: Buffer) => {
      got += part.toString('latin1');
    });
    await once(client, 'close');
    return got;
  }

  function textOf({ method, target, version, fields }: RequestHead): string {
    const lines = fields.flatMap((field, i) => (i % 2 === 0 ? [`${field}: ${fields[i + 1]}`] : []));
    return `${method} ${target} HTTP/${version}\r\n${lines.join('\r\n')}\r\n\r\n`;
  }

  it('is refused by its route while the gateway drains', async () => {
    const gateway = setUp(async () => null);
    gateway.state.draining = true;
    expect(await upgrade(gateway, textOf(handshakeHead()))).toMatch(/^HTTP\/1\.1 503 /);
    const refused = { type: 'handshake_rejected', reason: 'draining', route: 'app', mode: 'splice' };
    expect(gateway.events).toEqual([expect.objectContaining(refused)]);
  });

  it('gets the answer of a route that answers by itself', async () => {
    const gateway = setUp(async () => null);
    expect(await upgrade(gateway, textOf(handshakeHead({ target: '/old' })))).toMatch(/^HTTP\/1\.1 30\d /);
    expect(reasons(gateway.events)).toEqual([['request_completed', null]]);
  });

  it('is answered 500 where deciding breaks, and nothing is under way behind it', async () => {
    const gateway = setUp(async () => null);
    gateway.authenticate(() => {
      throw new Error('broken');
    });
    expect(await upgrade(gateway, textOf(handshakeHead()))).toMatch(/^HTTP\/1\.1 500 /);
    expect(gateway.handshakes.underWay()).toBe(0);
  });
});
