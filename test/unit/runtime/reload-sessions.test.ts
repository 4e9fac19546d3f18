// What a reload does to live sessions: judged by what their route and server do, not by how they are written.
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/parse.ts';
import { ReloadSessions } from '../../../src/runtime/reload-sessions.ts';
import { RouteIdentities } from '../../../src/runtime/route-identity.ts';
import type { Session } from '../../../src/sessions/registry.ts';
import { Pool } from '../../../src/upstream/pool.ts';
import { ServerOverrides } from '../../../src/upstream/server-overrides.ts';
import { sessionOf } from '../../support/sessions.ts';

function served(text: string) {
  const { config, problems } = parseConfig(`listeners: [{ port: 0 }]\n${text}`, { file: 'g', env: {} });
  if (config === null) throw new Error(JSON.stringify(problems));
  const of = { tls: null, emit: () => {}, secret: 'only for tests', overrides: new ServerOverrides() };
  const pools = new Map(
    Object.entries(config.upstreams).map(([name, upstream]) => [name, new Pool({ name, config: upstream, ...of })]),
  );
  return { identities: new RouteIdentities(config), pools };
}

const UPSTREAM = 'upstreams: { app: { servers: [ws://a:1, ws://b:1] } }\n';
const CHAT = 'routes: [{ name: chat, match: { path: /ws }, websocket: { mode: splice, upstream: app } }]';
const ECHO = 'routes: [{ name: chat, match: { path: /ws }, websocket: { mode: terminate, handler: echo } }]';

/** A session that opened under a config, on a server. */
function opened(text: string, server: string | null = 'ws://a:1', route = 'chat') {
  const closes: string[] = [];
  const session: Session = sessionOf({
    route,
    identity: served(text).identities.of(route),
    at: server === null ? null : { upstream: 'app', server },
    close: (code, reason) => void closes.push(`${code} ${reason}`),
  });
  return { session, closes };
}

describe('is kept', () => {
  it.each([
    ['where nothing changes', UPSTREAM + CHAT],
    ['where a default is written out', UPSTREAM + CHAT.replace('app }', 'app, timeouts: { idle: 60m } }')],
    ['where a value is written otherwise', UPSTREAM + CHAT.replace('splice', '"splice"')],
    [
      'where keys stand in another order',
      `${CHAT.replace('mode: splice, upstream: app', 'upstream: app, mode: splice')}\n${UPSTREAM}`,
    ],
    ['where its upstream has another name', (UPSTREAM + CHAT).replaceAll('app', 'chat-servers')],
    ['where its route has another name', UPSTREAM + CHAT.replace('name: chat', 'name: talk')],
    ['where another server comes or goes', UPSTREAM.replace('b:1', 'c:1') + CHAT],
    ['where servers are given another weight', UPSTREAM.replace('ws://a:1', '{ url: ws://a:1, weight: 0 }') + CHAT],
    ['where its route changes', UPSTREAM + CHAT.replace('/ws', '/chat')],
    ['where its route changes and says keep', UPSTREAM + CHAT.replace('/ws }', '/chat }, on_change: keep')],
    ['where plain requests of the route change', UPSTREAM + CHAT.replace('/ws }', '/ws }, http: { upstream: app }')],
  ])('%s', (_, next) => {
    const { session, closes } = opened(UPSTREAM + CHAT);
    expect(new ReloadSessions().apply([session], served(next))).toEqual({ kept: 1, draining: [] });
    expect(closes).toEqual([]);
  });

  it('where its route is removed that said keep', () => {
    const { session, closes } = opened(UPSTREAM + CHAT.replace('/ws }', '/ws }, on_change: keep'));
    const other = served(UPSTREAM + ECHO.replace('chat', 'other'));
    const sessions = new ReloadSessions();
    // Also by a reload that does not know the route any more.
    for (let i = 0; i < 2; i++) expect(sessions.apply([session], other)).toEqual({ kept: 1, draining: [] });
    expect(closes).toEqual([]);
  });
});

describe('is closed with 1012, and reported with why', () => {
  it.each([
    ['route chat removed', UPSTREAM + ECHO.replace('chat', 'other')],
    ['route chat removed', UPSTREAM + CHAT.replace(/websocket: .* } }/, 'http: { upstream: app } }')],
    ['route chat changed', UPSTREAM + CHAT.replace('/ws }', '/chat }, on_change: drain')],
    ['route chat changed', UPSTREAM + CHAT.replace('/ws }', '/chat }, on_change: close')],
    ['route chat changed', UPSTREAM + ECHO.replace('/ws }', '/ws }, on_change: drain')],
    ['server ws://a:1 removed', UPSTREAM.replace('ws://a:1, ', '') + CHAT],
    ['server ws://a:1 removed', UPSTREAM.replace('ws://a:1', 'wss://a:1') + CHAT],
  ])('%s', (why, next) => {
    const { session, closes } = opened(UPSTREAM + CHAT);
    const other = opened(UPSTREAM + ECHO.replace('chat', 'other'), null, 'other');
    const { kept, draining } = new ReloadSessions().apply([session], served(next));
    expect({ kept, draining }).toEqual({ kept: 0, draining: [{ why, sessions: 1 }] });
    expect(closes).toEqual(['1012 reload']);
    expect(other.closes).toEqual([]);
  });

  it('where TLS to its servers changes and the route says drain', () => {
    const drained = CHAT.replace('/ws }', '/ws }, on_change: drain');
    const secure = 'upstreams: { app: { servers: [wss://a:1], tls: { server_name: one.example } } }\n';
    const { session } = opened(secure + drained, 'wss://a:1');
    expect(new ReloadSessions().apply([session], served(secure + drained)).kept).toBe(1);
    const next = served(secure.replace('one', 'two') + drained);
    expect(new ReloadSessions().apply([session], next).draining).toEqual([{ why: 'route chat changed', sessions: 1 }]);
  });
});

it('counts those together that go for one reason, whether their routes drain or close', () => {
  const routes = (how: string) =>
    CHAT.replace('/ws }', `/ws }, on_change: ${how}`).replace('name: chat', `name: ${how}`);
  const both = `${routes('drain').replace(' }]', ' },')}${routes('close').replace('routes: [', ' ').replace('/ws', '/x')}`;
  const sessions = ['drain', 'close'].map((route) => opened(UPSTREAM + both, 'ws://a:1', route).session);
  const next = served(UPSTREAM.replace('ws://a:1, ', '') + both);
  expect(new ReloadSessions().apply(sessions, next).draining).toEqual([
    { why: 'server ws://a:1 removed', sessions: 2 },
  ]);
});

it('drains at the close_rate of its upstream, at once where the route says close, and each session once', () => {
  const slow = UPSTREAM.replace('] }', '], close_rate: 1 }');
  const changed = (how: string) => served(slow + CHAT.replace('/ws }', `/chat }, on_change: ${how}`));
  const many = Array.from({ length: 5 }, () => opened(UPSTREAM + CHAT));
  const sessions = many.map(({ session }) => session);
  const closes = () => many.map((each) => each.closes.length);
  const reloads = new ReloadSessions();
  expect(reloads.apply(sessions, changed('drain')).draining).toEqual([{ why: 'route chat changed', sessions: 5 }]);
  expect(closes()).toEqual([1, 0, 0, 0, 0]);
  // The route is back: nobody else is closed.
  expect(reloads.apply(sessions, served(slow + CHAT)).kept).toBe(5);
  reloads.apply(sessions, changed('close'));
  expect(closes()).toEqual([1, 1, 1, 1, 1]);
  reloads.stop();
});
