// The keys about how much may come: what a rate may look like, and what two fields say against each other.
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/parse.ts';
import { formatProblem } from '../../../src/config/problem.ts';

const parse = (text: string) => parseConfig(text, { file: 'g', env: {} });
const problemsOf = (text: string) => parse(text).problems.map((problem) => formatProblem(problem).slice('g:'.length));

const configOf = (websocket: string, rest = '', route = '') => `listeners:
  - port: 80
upstreams:
  chat: { servers: [ws://a:1] }
routes:
  - name: chat
    match: { host: a.com }
    websocket: { mode: splice, upstream: chat, limits: ${websocket} }
${route}${rest}`;
const AUTH = '    auth: { jwt: { key: secret-secret-secret-secret-secret-1, algorithms: [HS256] } }\n';
const HTTP = (limits: string) => `    http: { upstream: chat, limits: ${limits} }\n`;

describe('a rate', () => {
  const rateOf = (text: string) =>
    parse(configOf(`{ handshakes_per_second: ${text} }`)).config?.routes[0]?.websocket?.limits.handshakes_per_second;

  it.each([
    ['50', { rate: 50, burst: 50 }],
    ['0.5', { rate: 0.5, burst: 1 }],
    ['2.5', { rate: 2.5, burst: 3 }],
    ['{ rate: 50, burst: 100 }', { rate: 50, burst: 100 }],
    ['{ rate: 0.1 }', { rate: 0.1, burst: 1 }],
    ['{ rate: 5, burst: 1 }', { rate: 5, burst: 1 }],
  ])('%s', (text, rate) => {
    expect(problemsOf(configOf(`{ handshakes_per_second: ${text} }`))).toEqual([]);
    expect(rateOf(text)).toEqual(rate);
  });

  it.each([
    '0',
    '-1',
    'many',
    '2000000',
    '{ rate: 0 }',
    '{ burst: 5 }',
    '{ rate: 5, burst: 0 }',
    '{ rate: 5, burst: 1.5 }',
  ])('%s is none', (text) => {
    const [problem = '', ...others] = problemsOf(configOf(`{ handshakes_per_second: ${text} }`));
    expect(problem).toMatch(/^8:\d+: error: routes\[0\]\.websocket\.limits\.handshakes_per_second/);
    expect(others).toEqual([]);
  });
});

describe('a claim', () => {
  it.each<[string, string, readonly string[]]>([
    [
      'with its limits, on a route that asks who it is',
      configOf('{ claim: sub, connections_per_claim: 5 }', '', AUTH),
      [],
    ],
    [
      'of plain requests too',
      configOf('{}', '', `${AUTH}${HTTP('{ claim: sub, requests_per_second_per_claim: 5 }')}`),
      [],
    ],
    [
      'on a route that does not',
      configOf('{ claim: sub, connections_per_claim: 5 }'),
      ['8:58: error: routes[0].websocket.limits.claim: the route has no "auth" (claims come from credentials)'],
    ],
    [
      'that no limit goes by',
      configOf('{ claim: sub }', '', AUTH),
      ['8:58: error: routes[0].websocket.limits.claim: no limit goes by it (add one `_per_claim`, or take it out)'],
    ],
    [
      'that is not named',
      configOf('{ handshakes_per_second_per_claim: 5 }', '', AUTH),
      ['8:58: error: routes[0].websocket.limits.handshakes_per_second_per_claim: needs "claim" (such as claim: sub)'],
    ],
    [
      'that is not named, for plain requests',
      configOf('{}', '', `${AUTH}${HTTP('{ requests_per_second_per_claim: 5 }')}`),
      ['10:39: error: routes[0].http.limits.requests_per_second_per_claim: needs "claim" (such as claim: sub)'],
    ],
  ])('%s', (_, text, problems) => {
    const errors = problemsOf(text).filter((problem) => problem.includes(' error: '));
    expect(errors).toEqual(problems);
  });
});

describe('limits.shared', () => {
  const RATE = '{ handshakes_per_second: 5 }';
  it.each<[string, string, readonly string[]]>([
    ['a Redis of its own', configOf(RATE, 'limits: { shared: redis://a:6379 }'), []],
    ['the broker’s', configOf(RATE, 'limits: { shared: redis }\nbroker: redis://a:6379'), []],
    ['this process', configOf('{}', 'limits: { shared: memory }'), []],
    [
      'a broker that is no Redis',
      configOf(RATE, 'limits: { shared: redis }'),
      ['9:19: error: limits.shared: the broker is no Redis (name it in `broker`, or here: shared: redis://host:6379)'],
    ],
    [
      'a broker that is broken says so once',
      configOf(RATE, 'limits: { shared: redis }\nbroker: reddis'),
      [expect.stringMatching(/^10:9: error: broker: must be "memory" or the URL of a Redis/) as unknown as string],
    ],
    [
      'something else',
      configOf(RATE, 'limits: { shared: cluster }'),
      [
        expect.stringMatching(
          /^9:19: error: limits.shared: must be "memory", "redis" or the URL of a Redis/,
        ) as unknown as string,
      ],
    ],
    [
      'no rate at all',
      configOf('{ connections: 5, messages_per_second: 5 }', 'limits: { shared: redis://a:6379, connections: 9 }'),
      ['9:19: warning: limits.shared: there is no rate to share (live sessions are counted by each gateway)'],
    ],
    ['the gateway’s own rates', configOf('{}', 'limits: { shared: redis://a:6379, requests_per_second: 9 }'), []],
  ])('%s', (_, text, problems) => {
    expect(problemsOf(text)).toEqual(problems);
  });
});

it('what limits there are by default: none', () => {
  const { config } = parse(configOf('{}'));
  expect(config?.limits).toEqual({ memory: {}, shared: 'memory' });
  expect(config?.routes[0]?.websocket?.limits).toEqual({ on_limit: 'close' });
});

it('a ramp has a time, and begins with as many closes as its rate', () => {
  const { config } = parse(configOf('{}', 'limits: { ramp: { rate: 200 } }'));
  expect(config?.limits.ramp).toEqual({ rate: 200, over: 30_000 });
});
