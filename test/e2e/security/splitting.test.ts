// Response and request splitting: what a client sends and the gateway repeats, in Location, in fields made from templates,
// in refusals, in ids and logs, never ends its line.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Gateway, startGateway } from '../../support/gateway.ts';
import { exchange, readAnswer } from '../../support/raw.ts';
import { type Canary, startCanary } from './canary.ts';

let canary: Canary;
let gateway: Gateway;
beforeAll(async () => {
  canary = await startCanary();
  const reflect = {
    'X-Path': '{path}',
    'X-Query': '{query}',
    'X-Host': '{host}',
    'X-Id': '{request_id}',
    'X-Name': '{name}',
  };
  gateway = await startGateway({
    listeners: [{ host: '127.0.0.1', port: 0 }],
    trusted_proxies: ['127.0.0.1'],
    upstreams: { canary: { servers: [`http://127.0.0.1:${canary.port}`] } },
    routes: [
      { name: 'old', match: { path: '/old/*' }, redirect: { prefix: '/new' } },
      { name: 'away', match: { path: '/away/*' }, redirect: { host: 'other.test' } },
      { name: 'bare', match: { path: '/bare/*' }, redirect: { prefix: '/' } },
      { name: 'fixed', match: { path: '/fixed/{name}' }, respond: { body: 'fixed', headers: reflect } },
      {
        name: 'sent',
        match: { path: '/sent/{name}' },
        http: { upstream: 'canary' },
        headers: { request: { set: reflect }, response: { set: reflect } },
      },
    ],
  });
});
afterAll(async () => {
  canary.close();
  await gateway.stop();
});

const send = async (target: string, fields: readonly string[] = []) => {
  const head = [`GET ${target} HTTP/1.1`, 'Host: gateway.test', ...fields, 'Connection: close', '', ''].join('\r\n');
  return readAnswer(await exchange(gateway.port, Buffer.from(head, 'latin1')));
};
const shown = (answer: Awaited<ReturnType<typeof send>>, name: string) =>
  answer.fields.filter(([given]) => given.toLowerCase() === name).map(([, value]) => value);

/** Ways to write a line end into a path or a query that a parser of targets lets through. */
const LINE_ENDS = [
  '%0d%0aSet-Cookie:%20evil=1',
  '%0D%0A%0D%0A<script>',
  '%0aSet-Cookie:evil=1',
  '%0dSet-Cookie:evil=1',
  '%E5%98%8A%E5%98%8DSet-Cookie:evil=1',
  '%c4%8d%c4%8aSet-Cookie:evil=1',
  '%u000d%u000aSet-Cookie:evil=1',
  '%250d%250aSet-Cookie:evil=1',
];
/** Raw ones, which are none of a target's characters. */
const RAW = [
  '\r\nSet-Cookie: evil=1',
  '\nSet-Cookie: evil=1',
  '\rSet-Cookie: evil=1',
  '\x0bSet-Cookie:evil=1',
  '\0',
  '\x85',
];

describe.each([
  ['a redirect of a prefix', '/old/'],
  ['a redirect to another host', '/away/'],
  ['fields of a fixed answer', '/fixed/'],
  ['fields of a forwarded answer', '/sent/'],
])('%s', (_, base) => {
  it.each(LINE_ENDS)('does not decode %s of the query', async (text) => {
    const answer = await send(`${base}a?x=${text}`);
    expect([200, 308]).toContain(answer.status);
    expect(shown(answer, 'set-cookie')).toEqual([]);
    expect([...shown(answer, 'location'), ...shown(answer, 'x-query')].join()).toContain(text);
  });

  it.each(LINE_ENDS)('does not decode %s of the path', async (text) => {
    const answer = await send(`${base}${text}`);
    expect(shown(answer, 'set-cookie')).toEqual([]);
    // `%u` starts no escape.
    expect(answer.status === 400).toBe(text.startsWith('%u'));
  });

  it.each(RAW)('refuses %j', async (text) => {
    for (const target of [`${base}a${text}`, `${base}a?x=${text}`]) {
      const answer = await send(target);
      expect(shown(answer, 'set-cookie')).toEqual([]);
      expect(answer.status).toBe(400);
    }
  });
});

describe('toward the backend', () => {
  it.each(LINE_ENDS)('a field made from %s is one field', async (text) => {
    canary.take();
    await send(`/sent/a?x=${text}`);
    expect(canary.take(['x-query', 'set-cookie'])).toEqual([
      `GET /sent/a?x=${text} {x-query: x=${text}} {set-cookie: none}`,
    ]);
  });

  it('a parameter of the path is not decoded', async () => {
    canary.take();
    await send('/sent/a%0d%0aX-Admin:%201');
    expect(canary.take(['x-name', 'x-admin'])).toEqual([
      'GET /sent/a%0d%0aX-Admin:%201 {x-name: a%0D%0AX-Admin:%201} {x-admin: none}',
    ]);
  });
});

describe('a redirect stays on its host', () => {
  it.each([
    ['/bare//evil.test', 'http://gateway.test/evil.test'],
    ['/bare/%2f%2fevil.test', 'http://gateway.test/%2F%2Fevil.test'],
    ['/old/@evil.test', 'http://gateway.test/new/@evil.test'],
    ['/away/https://evil.test', 'http://other.test/away/https://evil.test'],
  ])('%s', async (target, location) => {
    expect(shown(await send(target), 'location')).toEqual([location]);
  });
});

describe("a trusted peer's id", () => {
  it.each(['abc', 'a.b_c-1', 'x'.repeat(128)])('%s is kept', async (id) => {
    expect(shown(await send('/fixed/a', [`X-Request-Id: ${id}`]), 'x-id')).toEqual([id]);
  });

  it.each([
    '',
    'a b',
    'a%0d%0ab',
    '<script>',
    'a"b',
    "a'b",
    'a\\nb',
    '{"a":1}',
    'a;b',
    'x'.repeat(129),
    '\xc3\xa9',
    'a\tb',
  ])('%j is replaced', async (id) => {
    const answer = await send('/fixed/a', [`X-Request-Id: ${id}`]);
    expect(shown(answer, 'x-id').join()).toMatch(/^[0-9a-f-]{36}$/);
    expect(shown(await send('/nowhere', [`X-Request-Id: ${id}`]), 'x-request-id').join()).toMatch(
      /^(?:[0-9a-f-]{36})?$/,
    );
  });
});

it('no line of the log is broken by what a client sent', async () => {
  await send('/nowhere%0a{"level":"fatal"}?x', ['User-Agent: a%0ab', 'Host: b']);
  await send('/nowhere/\xc3\xa9"\\', ['X-Forwarded-For: 1.2.3.4"}\\']);
  const lines = gateway
    .output()
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '');
  expect(lines.length).toBeGreaterThan(10);
  for (const line of lines) expect(JSON.parse(line)).toBeTypeOf('object');
});
