// A plain request to a server: what the server gets, which failures another server is tried after, and what the client and
// the log get. The engine is one that does as it is told.
import { describe, expect, it, vi } from 'vitest';
import { forward } from '../../../src/actions/forward.ts';
import { type ErrorCode, GatewayError } from '../../../src/errors.ts';
import { type Exchange, ExchangeError, type HttpEngine, type Progress } from '../../../src/proxy/http-engine.ts';
import { actionFixture, plainOf, verdictOn } from '../../support/action-fixture.ts';
import { type Change, http, plainHead } from '../../support/heads.ts';

const [A, B] = ['ws://a:1', 'ws://b:1'];
/** B is asked only where A is not. */
const SERVERS = { servers: [A, { url: B, backup: true }] };

type Act = (exchange: Exchange, response: ReturnType<typeof plainOf>['response']) => ExchangeError | null;

/** Forwards one request; each server it comes to does the next of the acts. */
async function run(
  acts: readonly Act[],
  { method = 'GET', hasBody = false, change = {} as Change, upstream = {} } = {},
) {
  const { plain, response, answers, calls } = plainOf({ method, hasBody });
  const left = [...acts];
  const asked: Pick<Exchange, 'target' | 'preamble' | 'maxBody' | 'fields' | 'server'>[] = [];
  const engine: HttpEngine = {
    ...{ name: 'fake', bound: null, close: () => {} },
    forward(exchange) {
      // As it is now: the next server gets the same exchange with another message.
      const { target, preamble, maxBody, fields, server } = exchange;
      asked.push({ target, preamble, maxBody, fields, server });
      exchange.settled(left.shift()!(exchange, response));
    },
  };
  const { context, pool, events } = actionFixture({ ...SERVERS, ...upstream }, { http: engine });
  forward(context, verdictOn('forward', http, plainHead({ method, ...change })), plain);
  const live = [A, B].map((url) => pool.serverAt(url)?.live);
  const completed = events.find(({ type }) => type === 'request_completed');
  return {
    servers: asked.map(({ server }) => (server as { url?: string }).url),
    asked,
    events,
    completed,
    live,
    answers,
    calls,
  };
}

const answered =
  (status: number): Act =>
  (_, response) => {
    response.status = status;
    response.headersSent = true;
    return null;
  };

const fails =
  (code: ErrorCode, progress: Progress): Act =>
  () =>
    new ExchangeError(new GatewayError(code, 'as told'), progress);

const refused = fails('backend_refused', 'unsent');

describe('a server', () => {
  it('gets the target, the fields of the client and those of the gateway', async () => {
    const fields = { 'X-A': 'b', 'X-Forwarded-For': '203.0.113.7', Connection: 'X-Hop', 'X-Hop': 'c' };
    const { asked, completed, live } = await run([answered(200)], { change: { target: '/a?b=c', fields } });
    const sent = asked[0]!;
    expect([sent.target, sent.preamble, sent.maxBody]).toEqual(['/a?b=c', null, null]);
    const byName = Object.fromEntries(
      sent.fields.flatMap((name, i) => (i % 2 === 0 ? [[name, sent.fields[i + 1]]] : [])),
    );
    expect(byName).toMatchObject({ 'X-A': 'b', 'X-Forwarded-For': '203.0.113.9', 'X-Request-Id': 'id-1' });
    expect(byName).not.toHaveProperty('X-Hop');
    expect(completed).toMatchObject({ status: 200, reason: null, at: { upstream: 'chat', server: A } });
    expect(live).toEqual([0, 0]);
  });

  it.each([
    ['1.1', 'trailers', true],
    ['1.1', null, false],
    ['1.0', 'trailers', false],
  ])('is told of trailers by a client of HTTP/%s with TE: %s? %s', async (version, te, told) => {
    const { asked } = await run([answered(200)], { change: { version, fields: { TE: te } } });
    expect(asked[0]?.fields.includes('TE')).toBe(told);
  });

  it('is not asked for an interim answer that a client of HTTP/1.0 would not know', async () => {
    const fields = { Expect: '100-continue' };
    const sent = async (version: string) =>
      (await run([answered(200)], { change: { version, fields } })).asked[0]?.fields;
    expect(await sent('1.0')).not.toContain('Expect');
    expect(await sent('1.1')).toContain('Expect');
  });

  it('gets the preamble where its upstream wants one', async () => {
    const { asked } = await run([answered(200)], { upstream: { proxy_protocol: 'v1' } });
    expect(asked[0]?.preamble?.toString()).toMatch(/^PROXY TCP4 192\.0\.2\.1 /);
  });
});

describe('another server', () => {
  it.each<[string, Act, object]>([
    ['that took nothing of it', refused, {}],
    ['that took nothing of it, whatever it is', refused, { method: 'POST', hasBody: true }],
    ['that gave no answer to what may be repeated', fails('backend_timeout', 'head'), {}],
  ])('is tried behind one %s', async (_, act, request) => {
    const { servers, events, completed, live, answers } = await run([act, answered(200)], request);
    expect(servers).toEqual([A, B]);
    expect(events.map(({ type }) => type)).toEqual(['upstream_retry', 'upstream_failed', 'request_completed']);
    expect(completed).toMatchObject({ status: 200, reason: null, at: { server: B } });
    expect([live, answers]).toEqual([[0, 0], []]);
  });

  it.each<[string, Act, object, number]>([
    ['what can’t be repeated', fails('backend_refused', 'head'), { method: 'POST' }, 502],
    ['a part of a body', fails('backend_timeout', 'begun'), { method: 'PUT', hasBody: true }, 504],
    ['a body that is too large', fails('body_too_large', 'begun'), { method: 'POST', hasBody: true }, 413],
  ])('is not tried behind one that got %s', async (_, act, request, status) => {
    const { servers, completed, answers, live } = await run([act], request);
    expect(servers).toEqual([A]);
    expect(answers).toMatchObject([{ status }]);
    expect(completed).toMatchObject({ status, at: { server: A } });
    expect(live).toEqual([0, 0]);
  });

  it('is not tried where the upstream retries nothing', async () => {
    const { servers, answers } = await run([refused], { upstream: { retry: 'off' } });
    expect([servers, answers]).toEqual([[A], [expect.objectContaining({ status: 502 })]]);
  });

  it.each<[number, readonly string[], string, boolean]>([
    [502, [], 'GET', true],
    [503, [], 'GET', true],
    [503, ['Retry-After', '1'], 'GET', false],
    [500, [], 'GET', false],
    [200, [], 'GET', false],
    [502, [], 'POST', false],
  ])('is taken in place of an answer %i with %j to %s: %s', async (status, fields, method, declined) => {
    const asked = vi.fn();
    const first: Act = (exchange, response) => {
      asked(exchange.declines(status, fields));
      if (declined) return new ExchangeError(new GatewayError('backend_refused', 'declined'), 'head');
      response.status = status;
      return null;
    };
    const { servers, completed } = await run([first, answered(204)], { method });
    expect(asked).toHaveBeenCalledWith(declined);
    expect(servers).toEqual(declined ? [A, B] : [A]);
    expect(completed).toMatchObject({ status: declined ? 204 : status });
  });
});

describe('the client', () => {
  it('gets 503 where no server is left', async () => {
    const upstream = { servers: [{ url: A, requests_per_second: { rate: 0.001, burst: 1 } }] };
    const engine: HttpEngine = { name: 'fake', bound: null, close: () => {}, forward: () => {} };
    const { context, events } = actionFixture(upstream, { http: engine });
    const verdict = verdictOn('forward', http, plainHead());
    forward(context, verdict, plainOf().plain);
    const { plain, answers } = plainOf();
    forward(context, verdict, plain);
    expect(answers).toMatchObject([{ status: 503 }]);
    expect(events.at(-1)).toMatchObject({ type: 'request_completed', reason: 'no_server', at: null });
  });

  it('that has left gets nothing, and no server is blamed', async () => {
    const { servers, answers, completed, events } = await run([fails('client_gone', 'head')]);
    expect([servers, answers]).toEqual([[A], []]);
    expect(completed).toMatchObject({ status: 499, reason: 'client_gone' });
    expect(events).toHaveLength(1);
  });

  it('that has got a part of an answer gets no other one', async () => {
    const act: Act = (exchange, response) => {
      answered(200)(exchange, response);
      return new ExchangeError(new GatewayError('backend_refused', 'broke off'), 'begun');
    };
    const { servers, answers, completed } = await run([act]);
    expect([servers, answers]).toEqual([[A], []]);
    expect(completed).toMatchObject({ status: 200, reason: 'backend_refused' });
  });

  it('gets 500 where the gateway itself broke, and the server is released', async () => {
    const { servers, answers, live } = await run([
      () => {
        throw new TypeError('broken');
      },
    ]);
    expect([servers, live]).toEqual([[A], [0, 0]]);
    expect(answers).toMatchObject([{ status: 500 }]);
  });
});
