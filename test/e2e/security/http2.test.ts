// The cases of request smuggling and of names that can be said in HTTP/2, byte for byte: what HTTP/1.1 refuses HTTP/2 refuses
// too, or nghttp2 resets the stream, and what it lets through reaches the backend as the same request. A refusal costs its
// stream alone. And what only HTTP/2 can say: octets within a name or a value that would end a line of HTTP/1.1.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CODE, END_STREAM, getFields, headers, RawHttp2 } from '../../support/http2-raw.ts';
import type { Case } from './attack.ts';
import { GROUPS, SCRIPTS } from './cases.ts';
import { startUpgate } from './proxies.ts';

type Fields = [string, string][];

/** What belongs to one connection of HTTP/1.1, for which nghttp2 resets a stream (RFC 9113 §8.2.2). */
const OF_HTTP1 = new Set(['connection', 'keep-alive', 'proxy-connection', 'upgrade']);
const RESET = `RST ${CODE.protocol}`;
/** Such fields nghttp2 takes out, and the request goes on without them (docs/http2.md). */
const isDropped = ([name, value]: [string, string]): boolean =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  !/^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name) || /[\x00-\x08\x0a-\x1f\x7f]/.test(value);

let proxy: Awaited<ReturnType<typeof startUpgate>>;
beforeAll(async () => {
  const common = { host: '127.0.0.1', port: 0 };
  proxy = await startUpgate(SCRIPTS, 'auto', {
    listeners: [common, { ...common, http2: { prior_knowledge: true, extended_connect: true } }],
  });
});
afterAll(() => proxy?.stop());

/** The first request of a case as fields of HTTP/2; null where HTTP/2 has no word for it. */
function inHttp2({ bytes }: Case): { fields: Fields; open: boolean } | null {
  const head = (typeof bytes === 'string' ? bytes : bytes[0]!).split('\r\n\r\n')[0]!;
  const [start = '', ...lines] = head.split('\r\n');
  const [, method, target] = /^([^ ]+) ([^ ]+) HTTP\/1\.1$/.exec(start) ?? [];
  const fields = lines.map((line): [string, string] => {
    const colon = line.indexOf(':');
    return [line.slice(0, Math.max(colon, 0)).toLowerCase(), line.slice(colon + 1).replaceAll(/^[ \t]+|[ \t]+$/g, '')];
  });
  if (method === undefined || target === undefined || lines.some((line) => !line.includes(':') || /^[ \t]/.test(line)))
    return null;
  const names = new Set(fields.map(([name]) => name));
  if (head.length > 8000 || lines.length > 250 || names.has('content-length') || names.has('transfer-encoding'))
    return null;
  const hosts = fields.filter(([name]) => name === 'host');
  const authority: Fields = hosts.length === 1 ? [[':authority', hosts[0]![1]]] : [];
  const rest = fields.filter(([name]) => name !== 'host' || hosts.length !== 1);
  const pseudo: Fields = [[':scheme', 'http'], ...authority, [':path', target]];
  if (!names.has('upgrade')) return { fields: [[':method', method], ...pseudo, ...rest], open: false };
  if (method !== 'GET' || !/^upgrade: *websocket\r?$/im.test(head) || !/^connection:.*upgrade/im.test(head))
    return null;
  const own = rest.filter(([name]) => !OF_HTTP1.has(name) && name !== 'sec-websocket-key');
  return { fields: [[':method', 'CONNECT'], [':protocol', 'websocket'], ...pseudo, ...own], open: true };
}

/** How the stream was answered, and what reached the backend; the next stream of its connection gets its own answer. */
async function send(fields: Fields, open: boolean, watch: readonly string[] = []) {
  proxy.canary.take();
  const client = await (await RawHttp2.plain(proxy.ports[1]!)).begin();
  client.write(headers(1, fields, open ? 0 : END_STREAM));
  const outcome = await client.outcome(1);
  client.write(headers(3, getFields('/public/next', [], { ':authority': 'gateway.test', ':scheme': 'http' })));
  expect(await client.outcome(3)).toBe('200');
  client.socket.destroy();
  return { outcome, reached: proxy.canary.take(watch).filter((line) => !line.startsWith('GET /public/next')) };
}

describe.each(
  GROUPS.map(
    ({ title, cases }) => [title, cases.flatMap((one) => (inHttp2(one) === null ? [] : [one]))] as const,
  ).filter(([title, cases]) => cases.length > 0 && title !== 'Answers of a backend' && title !== 'Behind an upgrade'),
)('%s', (_title, cases) => {
  it.each(cases.map((one) => [one.name, one] as const))('%s', async (_name, one) => {
    const { fields, open } = inHttp2(one)!;
    const { outcome, reached } = await send(fields, open, one.watch);
    const status = one.want.answers[0];
    const first = one.want.reached.filter((line) => !line.startsWith('GET /public/last')).slice(0, 1);
    if (outcome === RESET) {
      expect(reached).toEqual([]);
      // nghttp2 refuses what HTTP/1.1 takes only where that is HTTP/1.1's own: a field of its connection, an absolute target.
      const own = ([name, value]: [string, string]) =>
        OF_HTTP1.has(name) || name === 'te' || (name === ':path' && value.startsWith('http'));
      if (status === 200) expect(fields.some(own)).toBe(true);
    } else if (fields.some(isDropped)) {
      expect([outcome, reached]).toEqual(['200', [`${fields[0]![1]} /public/a`]]);
    } else expect([outcome, reached]).toEqual([String(status === 101 ? 200 : status), first]);
  });
});

describe('what would end a line of HTTP/1.1', () => {
  const SMUGGLED = 'GET /admin HTTP/1.1\r\nHost: gateway.test\r\n\r\n';
  it.each<[string, Fields]>([
    ['CR LF in a value', [['x', `1\r\nx-evil: 1`]]],
    ['a whole request in a value', [['x', `1\r\n\r\n${SMUGGLED}`]]],
    ['LF in a value', [['x', '1\nx-evil: 1']]],
    ['CR in a value', [['x', '1\rx-evil: 1']]],
    ['NUL in a value', [['x', '1\0x-evil: 1']]],
    ['CR LF in a name', [['x: 1\r\nx-evil', '1']]],
    ['a colon in a name', [['x-evil: 1', '1']]],
    ['a blank in a name', [['x-evil 1', '1']]],
    ['an empty name', [['', 'x-evil: 1']]],
    ['CR LF in a cookie', [['cookie', 'a=1\r\nx-evil: 1']]],
    ['CR LF in Host', [['host', 'gateway.test\r\nx-evil: 1']]],
    ['Transfer-Encoding', [['transfer-encoding', 'chunked']]],
    ['Transfer-Encoding with a blank', [['transfer-encoding ', 'chunked']]],
    ['Transfer_Encoding', [['transfer_encoding', 'x-evil']]],
    ['Content-Length with a list', [['content-length', '0, 5']]],
    ['Content-Length with a sign', [['content-length', '+0']]],
    ['HTTP2-Settings', [['http2-settings', 'x-evil']]],
  ])('%s', async (_name, more) => {
    const { outcome, reached } = await send(
      getFields('/public/a', more, { ':authority': 'gateway.test', ':scheme': 'http' }),
      false,
      ['x-evil', 'transfer-encoding', 'transfer_encoding', 'http2-settings'],
    );
    const clean =
      'GET /public/a {x-evil: none} {transfer-encoding: none} {transfer_encoding: none} {http2-settings: none}';
    if (outcome === '200') expect(reached).toEqual([clean]);
    else expect([[RESET, '400'].includes(outcome), reached]).toEqual([true, []]);
  });

  it.each<[string, Readonly<Record<string, string>>]>([
    ['CR LF in the path', { ':path': '/public/a HTTP/1.1\r\nx-evil: 1' }],
    ['a blank in the path', { ':path': '/public/a HTTP/1.1' }],
    ['a blank in the method', { ':method': 'GET /public/evil HTTP/1.1' }],
    ['CR LF in the method', { ':method': 'GET\r\nx-evil' }],
    ['CR LF in the authority', { ':authority': 'gateway.test\r\nx-evil: 1' }],
    ['userinfo in the authority', { ':authority': 'gateway.test@evil.test' }],
    ['an absolute target', { ':path': 'http://evil.test/public/a' }],
    ['a target without a slash', { ':path': 'public/a' }],
    ['*', { ':path': '*' }],
    ['CR LF in the scheme', { ':scheme': 'http\r\nx-evil: 1' }],
  ])('%s', async (_name, pseudo) => {
    const { outcome, reached } = await send(
      getFields('/public/a', [], { ':authority': 'gateway.test', ':scheme': 'http', ...pseudo }),
      false,
    );
    expect([[RESET, '400'].includes(outcome), outcome, reached]).toEqual([true, outcome, []]);
  });
});
