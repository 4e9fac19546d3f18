import { describe, expect, it } from 'vitest';
import { ERRORS } from '../../../src/errors.ts';
import { REJECTIONS } from '../../../src/handshake/rejection.ts';
import { RefusalLog } from '../../../src/observe/refusals.ts';
import { RULES, ruleOf } from '../../../src/observe/rules.ts';
import { ServerActivities } from '../../../src/observe/server-activity.ts';
import { EVENTS } from './every-event.ts';

describe('the rule of a reason', () => {
  it('is there for every reason code, and for no other', () => {
    const reasons = new Set([...Object.keys(REJECTIONS), ...Object.keys(ERRORS), 'missing_origin', 'passed']);
    expect(new Set(Object.keys(RULES))).toEqual(reasons);
  });

  it('names the route and the upstream it is of', () => {
    expect(ruleOf('origin', 'chat', null)).toBe('routes.chat.websocket.origins');
    expect(ruleOf('no_server', 'chat', 'app')).toBe('upstreams.app.servers: none is eligible');
    expect(ruleOf('constructor', null, null)).toBe(null);
  });
});

describe('the rule of a limit', () => {
  it.each([
    ['connections', 'limits.connections'],
    ['chat connections_per_ip', 'routes.chat.websocket.limits.connections_per_ip'],
    ['chat handshakes_per_second', 'routes.chat.websocket.limits.handshakes_per_second'],
    ['chat requests_per_second_per_ip', 'routes.chat.http.limits.requests_per_second_per_ip'],
    ['requests_per_second', 'limits.requests_per_second'],
  ])('%s is %s', (limit, rule) => {
    const log = new RefusalLog();
    log.observe({ ...EVENTS.handshake_rejected, reason: 'rate', limit });
    log.observe({ ...EVENTS.request_completed, reason: 'rate', status: 429, limit });
    expect([...log.newestFirst()].map((entry) => entry.rule)).toEqual([rule, rule]);
  });
});

describe('the log of refusals', () => {
  const rejected = { ...EVENTS.handshake_rejected, reason: 'origin', route: 'chat', origin: 'https://evil.com' };

  it('keeps the last 1,000, newest first, with ids that go on', () => {
    const log = new RefusalLog();
    for (let i = 1; i <= 1500; i++) log.observe({ ...rejected, path: `/${i}` });
    const all = [...log.newestFirst()];
    expect(all).toHaveLength(1000);
    expect(all[0]).toMatchObject({ id: 1500, scheme: 'http', path: '/1500', rule: 'routes.chat.websocket.origins' });
    expect(all.at(-1)).toMatchObject({ id: 501, path: '/501' });
  });

  it('keeps what a handshake asked for, whether it was refused or failed', () => {
    const log = new RefusalLog();
    const asked = { origin: null, version: '8', subprotocols: ['chat.v2'] };
    log.observe({ ...EVENTS.handshake_failed, ...asked });
    log.observe({ ...EVENTS.handshake_rejected, reason: 'version', status: 426, ...asked });
    expect([...log.newestFirst()]).toMatchObject([asked, asked]);
  });

  it('keeps a handshake that its server refused, with the server and what it answered', () => {
    const log = new RefusalLog();
    log.observe({ ...EVENTS.handshake_passed, status: 403, origin: 'https://a.example' });
    expect([...log.newestFirst()]).toMatchObject([
      {
        ...{ kind: 'handshake', status: 403, reason: 'passed', rule: 'the answer of upstreams.chat' },
        ...{ detail: 'ws://127.0.0.1:9001 answered 403', origin: 'https://a.example', upstream: 'chat' },
      },
    ]);
  });

  it('tells a missing Origin from one that is not let in', () => {
    const log = new RefusalLog();
    log.observe({ ...rejected, origin: null });
    expect([...log.newestFirst()][0]).toMatchObject({ rule: 'routes.chat.websocket.missing_origin', origin: null });
  });

  it('keeps what failed, answers of the gateway itself, unreadable heads and preambles, and no answer of a backend', () => {
    const log = new RefusalLog();
    log.observe({ ...EVENTS.request_completed, reason: null, status: 500 });
    log.observe({ ...EVENTS.request_completed, reason: 'no_route', status: 404, detail: 'none' });
    log.observe({ ...EVENTS.handshake_failed, at: { upstream: 'app', server: 'ws://a:1' }, reason: 'backend_refused' });
    log.observe(EVENTS.head_refused);
    log.observe(EVENTS.preamble_refused);
    log.observe(EVENTS.session_opened);
    const kinds = [...log.newestFirst()].map(({ kind, rule }) => [kind, rule === null]);
    expect(kinds).toEqual([
      ['connection', false],
      ['connection', false],
      ['handshake', false],
      ['request', false],
    ]);
    expect([...log.newestFirst()][2]).toMatchObject({
      upstream: 'app',
      server: 'ws://a:1',
      rule: 'upstreams.app.servers',
    });
  });

  it('keeps TLS handshakes that failed, with the name that was asked for', () => {
    const log = new RefusalLog();
    log.observe({ ...EVENTS.tls_handshake, result: 'ok', detail: null });
    log.observe({ ...EVENTS.tls_handshake, result: 'resumed', detail: null });
    log.observe(EVENTS.tls_handshake);
    log.observe({ ...EVENTS.tls_handshake, result: 'timeout', name: null, detail: null });
    expect([...log.newestFirst()]).toMatchObject([
      { kind: 'connection', reason: 'tls_timeout', host: null, detail: '' },
      { kind: 'connection', reason: 'tls_unknown_name', host: 'other.example', rule: 'listeners ([::]:443).tls' },
    ]);
  });

  it('cuts what a client chose', () => {
    const log = new RefusalLog();
    log.observe({ ...rejected, path: `/${'x'.repeat(10_000)}` });
    expect([...log.newestFirst()][0]?.path).toHaveLength(513);
  });
});

describe('what went on with a server', () => {
  const at = { upstream: 'app', server: 'ws://a:1' };

  it('counts handshakes, requests, errors and ejections, and keeps the last of each', () => {
    const servers = new ServerActivities();
    servers.observe({ ...EVENTS.session_opened, at });
    servers.observe({ ...EVENTS.request_completed, at });
    servers.observe({ ...EVENTS.upstream_failed, ...at, reason: 'backend_timeout', detail: 'too slow' });
    servers.observe({ ...EVENTS.server_changed, ...at, up: false, reason: 'ejected', detail: '5 failures in a row' });
    const found = servers.of('app', 'ws://a:1');
    expect(found).toMatchObject({ handshakes: 1, requests: 1, errors: 1, ejections: 1 });
    expect(found?.lastError).toMatchObject({ reason: 'backend_timeout', detail: 'too slow' });
    expect(found?.lastChange).toMatchObject({ up: false, detail: '5 failures in a row' });
    expect(servers.of('app', 'ws://b:1')).toBe(null);
  });

  it('forgets the one heard of first where more than 10,000 have come', () => {
    const servers = new ServerActivities();
    for (let i = 0; i <= 10_000; i++)
      servers.observe({ ...EVENTS.session_opened, at: { ...at, server: `ws://a:${i}` } });
    expect(servers.of('app', 'ws://a:0')).toBe(null);
    expect(servers.of('app', 'ws://a:1')).not.toBe(null);
  });

  it('counts the servers of all upstreams for that, also of those that a reload has renamed', () => {
    const servers = new ServerActivities();
    for (let i = 0; i <= 10_000; i++)
      servers.observe({ ...EVENTS.session_opened, at: { upstream: `app-${i}`, server: 'ws://a:1' } });
    expect(servers.of('app-0', 'ws://a:1')).toBe(null);
    expect(servers.of('app-1', 'ws://a:1')).not.toBe(null);
    expect(servers.of('app-10000', 'ws://a:1')).not.toBe(null);
  });
});
