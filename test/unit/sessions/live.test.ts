// A session from its 101 to its end, and the registry it stands in: counted, carried, reported once, and everything that
// was held for it given back.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import type { GatewayEvent, Mode, SessionOpened } from '../../../src/events.ts';
import { LiveSession } from '../../../src/sessions/live.ts';
import { Registry } from '../../../src/sessions/registry.ts';
import { IDENTITY, NO_ACTIVITY, sessionOf } from '../../support/sessions.ts';

const opened = (change: Partial<SessionOpened> = {}): SessionOpened => ({
  type: 'session_opened',
  id: 'id-1',
  connection: 'c-1',
  route: 'chat',
  client: '192.0.2.1',
  method: 'GET',
  host: 'a.example',
  path: '/ws',
  protocol: '1.1',
  secure: false,
  user: 'ada',
  mode: 'splice',
  at: { upstream: 'chat', server: 'ws://127.0.0.1:9001' },
  origin: 'https://a.example',
  subprotocol: 'chat.v1',
  durationMs: 3,
  ...change,
});

const END = {
  fromClient: { bytes: 10, messages: null },
  toClient: { bytes: 20, messages: null },
  discarded: 0,
  code: null,
  initiator: 'client',
  reason: 'closed',
  cut: false,
} as const;

function home() {
  const registry = new Registry();
  const events: GatewayEvent[] = [];
  const released: string[] = [];
  const resources = {
    handOver: () => void released.push('handed over'),
    release: () => void released.push('released'),
  };
  return {
    registry,
    events,
    released,
    home: { registry, emit: (e: GatewayEvent) => void events.push(e), resources, expiresAt: null, identity: IDENTITY },
  };
}

const counts = (registry: Registry) =>
  [...registry.sample()].map(({ labels, value }) => [labels['route'], labels['mode'], value]);

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

/** What a session has of its request, as parts of one text of 64 KiB. */
function cutOut(i: number): Partial<SessionOpened> {
  const head = Buffer.alloc(65_536, `head no. ${i} `).toString('latin1');
  const part = (at: number): string => head.slice(at, at + 32);
  const trace = { traceId: part(6), spanId: part(7), flags: 1 };
  return { id: part(0), host: part(1), path: part(2), user: part(3), origin: part(4), subprotocol: part(5), trace };
}

describe('a session', () => {
  it('does not keep its request in memory', () => {
    const { home: at } = home();
    const quiet = { ...at, emit: () => undefined };
    expect(new LiveSession(opened(cutOut(0)), quiet).opened).toEqual(opened(cutOut(0)));
    gc();
    const before = process.memoryUsage().heapUsed;
    const sessions = Array.from({ length: 100 }, (_, i) => new LiveSession(opened(cutOut(i)), quiet));
    gc();
    // Their heads have 6.5 MB.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(2_000_000);
    expect(sessions).toHaveLength(100);
  });

  it('is entered and told open, then given back and told closed', () => {
    const { registry, events, released, home: at } = home();
    const session = new LiveSession(opened(), at);
    expect(session).toMatchObject({ id: 'c-1', route: 'chat', mode: 'splice', client: '192.0.2.1', user: 'ada' });
    expect(registry.sessions()).toEqual([session]);
    expect(events).toEqual([opened()]);
    expect(released).toEqual(['handed over']);

    session.end(END);
    expect(registry.size).toBe(0);
    expect(released).toEqual(['handed over', 'released']);
    const { origin: _origin, subprotocol: _subprotocol, ...subject } = opened();
    expect(events.slice(1)).toEqual([{ ...subject, ...END, type: 'session_closed', durationMs: expect.any(Number) }]);
  });

  it('is told closed also where releasing breaks', () => {
    const { registry, events, home: at } = home();
    const resources = {
      handOver: () => {},
      release: () => {
        throw new Error('broken');
      },
    };
    new LiveSession(opened(), { ...at, resources }).end(END);
    expect(registry.size).toBe(0);
    expect(events.map(({ type }) => type)).toEqual(['session_opened', 'session_closed']);
  });

  it('passes close and cut on to what carries it, once that is there', () => {
    const session = new LiveSession(opened(), home().home);
    const asked: unknown[] = [];
    session.close(1001, 'drain', 5);
    session.cut('drain');
    session.carriedBy({
      close: (...args) => asked.push(args),
      cut: (reason) => asked.push(reason),
      activity: () => NO_ACTIVITY,
    });
    session.close(1001, 'drain', 5000);
    session.cut('grace');
    expect(asked).toEqual([[1001, 'drain', 5000], 'grace']);
  });
});

describe('the registry', () => {
  const enter = (registry: Registry, route: string, mode: Mode) => registry.add(sessionOf({ id: route, route, mode }));

  it('counts by route and mode, and keeps a series that has fallen to nothing', () => {
    const registry = new Registry();
    expect(counts(registry)).toEqual([]);
    const places = [
      enter(registry, 'chat', 'splice'),
      enter(registry, 'chat', 'splice'),
      enter(registry, 'chat', 'terminate'),
    ];
    expect(counts(registry)).toEqual([
      ['chat', 'splice', 2],
      ['chat', 'terminate', 1],
    ]);
    for (const place of places) {
      registry.remove(place);
      registry.remove(place);
    }
    expect(registry.size).toBe(0);
    expect(counts(registry)).toEqual([
      ['chat', 'splice', 0],
      ['chat', 'terminate', 0],
    ]);
  });

  it('gives the sessions of this moment, which may end while they are gone through', () => {
    const registry = new Registry();
    const places = ['a', 'b', 'c'].map((route) => enter(registry, route, 'splice'));
    const ids = registry.sessions().map((session, i) => {
      registry.remove(places[i]!);
      return session.id;
    });
    expect(ids).toEqual(['a', 'b', 'c']);
    expect(registry.sessions()).toEqual([]);
  });
});
