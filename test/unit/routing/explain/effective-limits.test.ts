// The limits of a route in words, as `explain` shows them.
import { describe, expect, it } from 'vitest';
import { schema } from '../../../../src/config/schema/schema.ts';
import { compileTrustedProxies } from '../../../../src/http/forwarding/forwarded.ts';
import { effectiveLimits } from '../../../../src/routing/explain/effective-limits.ts';
import { explain } from '../../../../src/routing/explain/explain.ts';
import { parseExplainRequest } from '../../../../src/routing/explain/explain-request.ts';
import { compileTable } from '../../../../src/routing/table.ts';

const configOf = (limits: object, route: object) =>
  schema.parse({
    listeners: [{ port: 0 }],
    upstreams: { rest: { servers: ['http://127.0.0.1:9002'] } },
    limits,
    routes: [{ name: 'app', ...route }],
  });
const inForce = (limits: object, route: object) => {
  const config = configOf(limits, route);
  return effectiveLimits(config, config.routes[0]!);
};
const echo = (limits: object) => ({ websocket: { mode: 'terminate', handler: 'echo', origins: 'any', limits } });
const NONE = { before: '', after: '' };

describe('limitsInForce', () => {
  it('is nothing where there are none', () => {
    expect(inForce({}, echo({ max_message: '1KiB', messages_per_second: 5 }))).toEqual({
      handshakes: NONE,
      requests: NONE,
    });
  });

  it('has those of the route, then the gateway’s, before and after credentials', () => {
    const own = { connections: 9, connections_per_ip: 2, handshakes_per_second: { rate: 5, burst: 20 } };
    const claim = { claim: 'sub', connections_per_claim: 3, handshakes_per_second_per_claim: 0.5 };
    const all = { connections: 99, handshakes_per_second_per_ip: 7, ramp: { rate: 200 } };
    const { handshakes } = inForce(all, echo({ ...own, ...claim }));
    expect(handshakes).toEqual({
      before:
        'connections_per_ip 2, handshakes_per_second 5 (burst 20), gateway handshakes_per_second_per_ip 7 (burst 7), ramp 200',
      after:
        'connections_per_claim (sub) 3, handshakes_per_second_per_claim (sub) 0.5 (burst 1), connections 9, gateway connections 99',
    });
  });

  it('has those of plain requests apart', () => {
    const limits = { requests_per_second: 5, claim: 'sub', requests_per_second_per_claim: 2 };
    expect(inForce({ requests_per_second_per_ip: 3 }, { http: { upstream: 'rest', limits } })).toEqual({
      handshakes: NONE,
      requests: {
        before: 'requests_per_second 5 (burst 5), gateway requests_per_second_per_ip 3 (burst 3)',
        after: 'requests_per_second_per_claim (sub) 2 (burst 2)',
      },
    });
  });
});

describe('explain', () => {
  const linesOf = (limits: object, route: object, url: string) => {
    const { table } = compileTable(configOf(limits, route));
    const question = parseExplainRequest(url, {});
    if (typeof question === 'string') throw new Error(question);
    return explain(table, question, { trusted: compileTrustedProxies([]), upstreams: {} }).lines;
  };

  it('shows them for a plain request', () => {
    const lines = linesOf({ requests_per_second: 5 }, { http: { upstream: 'rest' } }, 'http://a/');
    expect(lines).toContain('  ?    limits: gateway requests_per_second 5 (burst 5)');
  });

  it('shows none where the gateway answers by itself', () => {
    const lines = linesOf({ requests_per_second: 5 }, { respond: { body: 'x' } }, 'http://a/');
    expect(lines.join()).not.toContain('limits');
  });
});

describe('limits.max_body', () => {
  it.each([
    [{}, undefined],
    [{ max_body: '4KiB' }, 4096],
  ])('is that of routes that have none of their own: %j', (own, expected) => {
    const table = compileTable(configOf({}, { http: { upstream: 'rest', ...own } })).table;
    const whole = compileTable(configOf({ max_body: '1KiB' }, { http: { upstream: 'rest', ...own } })).table;
    const request = parseExplainRequest('http://a/', {});
    if (typeof request === 'string') throw new Error(request);
    const maxOf = (of: typeof table) => {
      const { lines } = explain(of, request, { trusted: compileTrustedProxies([]), upstreams: {} });
      expect(lines.at(-1)).toContain('forwarded');
      const found = of.http.find({ head: request.head, target: { path: '/', query: '', raw: '/' } } as never);
      return found?.route.http?.max_body;
    };
    expect(maxOf(table)).toBe(expected);
    expect(maxOf(whole)).toBe(expected ?? 1024);
  });
});
