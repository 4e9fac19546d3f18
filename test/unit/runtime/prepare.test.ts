// A config file made ready, whole or not at all: what is wrong is said all at once, each at its place, whoever found it.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formatProblem } from '../../../src/config/problem.ts';
import { prepare } from '../../../src/runtime/prepare.ts';
import { makeSelfSigned } from '../../../src/runtime/tls/self-signed.ts';

const GOOD = `listeners:
  - port: 80
  - port: 443
    tls:
      certificates:
        - cert: tls.crt
          key: tls.key
upstreams:
  chat:
    servers: [ws://127.0.0.1:9001]
routes:
  - name: chat
    match: { host: a.example, path: /ws/* }
    websocket: { mode: splice, upstream: chat }
`;

let dir: string;
let file: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'upgate-'));
  file = join(dir, 'gateway.yaml');
  const { cert, key } = makeSelfSigned(['a.example'], new Date());
  writeFileSync(join(dir, 'tls.crt'), cert);
  writeFileSync(join(dir, 'tls.key'), key);
});
afterEach(() => rmSync(dir, { recursive: true }));

/** Prepares the text; problems without their directory. */
async function ready(text: string, env: Record<string, string> = {}) {
  writeFileSync(file, text);
  const { prepared, problems } = await prepare(file, env, new Map());
  return { prepared, problems: problems.map((problem) => formatProblem(problem).replaceAll(`${dir}/`, '')) };
}

describe('a good file', () => {
  it('is there whole: config, table, and TLS for each listener in order', async () => {
    const { prepared, problems } = await ready(GOOD);
    expect(problems).toEqual([]);
    expect(prepared?.config.routes.map(({ name }) => name)).toEqual(['chat']);
    expect(prepared?.tls.map((tls) => tls?.certificates[0]?.names ?? null)).toEqual([null, ['a.example']]);
    expect(prepared?.table).toBeDefined();
  });

  it('with something to warn of is ready all the same', async () => {
    const expired = makeSelfSigned(['a.example'], new Date('2020-01-01'));
    writeFileSync(join(dir, 'tls.crt'), expired.cert);
    writeFileSync(join(dir, 'tls.key'), expired.key);
    const { prepared, problems } = await ready(
      GOOD.replace('match: { host: a.example,', 'allow: [10.0.0.0/8]\n    match: {'),
    );
    expect(prepared).not.toBeNull();
    expect(problems).toEqual([
      expect.stringMatching(/^gateway\.yaml:6:17: warning: listeners\[1\]\.tls\.certificates\[0\]\.cert: .*expired/),
      expect.stringMatching(/^gateway\.yaml:1[3-5]:\d+: warning: routes\[0\]/),
    ]);
  });
});

describe('a bad file', () => {
  it.each([
    ['that is not there', null, /gateway\.yaml:1:1: error: cannot be read/],
    ['that is no YAML', 'listeners: [', /^gateway\.yaml:\d+:\d+: error: /],
    ['with a key misspelt', GOOD.replace('upstreams:', 'upstream:'), /8:1: error: upstream: .*upstreams/],
    ['with a route that can’t be compiled', GOOD.replace('/ws/*', '/w*s'), /13:37: error: routes\[0\]\.match\.path: /],
    ['with a certificate that is not there', GOOD.replace('tls.crt', 'no.crt'), /6:17: error: .*no such file/],
    ['with a key of another certificate', GOOD.replace('tls.key', 'tls.crt'), /7:16: error: .*private key/],
  ])('%s is not ready', async (_, text, why) => {
    const { prepared, problems } =
      text === null
        ? { prepared: null, problems: (await prepare(file, {}, new Map())).problems.map(formatProblem) }
        : await ready(text);
    expect(prepared).toBeNull();
    expect(problems.join('\n')).toMatch(why);
  });

  it('says what the schema and the routes have wrong at once, in the order of the file', async () => {
    const { prepared, problems } = await ready(
      GOOD.replace('port: 80', 'port: eighty').replace('/ws/*', '/w*s').replace('mode: splice', 'mode: splise'),
    );
    expect(prepared).toBeNull();
    const places = problems.map((problem) => Number(problem.split(':')[1]));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(places).toEqual(expect.arrayContaining([2, 13, 14]));
  });

  it.each([
    ['{ host: a.example, method: GET, path: ws }', ['match.method: unknown key', 'match.path: a path starts']],
    ['{ host: 1, path: ws }', ['match.host: must be', 'match.path: a path starts']],
    ['{ hots: a.example, path: /ws/*, query: { v: 1 } }', ['match.hots: unknown key', 'match.query.v: must be text']],
    // Nothing is known of the path, so nothing that goes by it is judged; the origins are.
    ['{ host: a.example, regex: "/ws" }', ['match.regex: unknown key']],
  ])('a mistake in match hides no other one of its route, and shadows nobody: %s', async (match, expected) => {
    const first = GOOD.replace(/match: \{.*\}/, `match: ${match}`).replace(
      'splice,',
      'splice, origins: ["*.a.example"],',
    );
    const last = '  - name: last\n    http: { upstream: chat }\n    rewrite: { prefix: nowhere }\n';
    const { problems } = await ready(`${first}${last}`);
    const of = (index: number) => problems.filter((problem) => problem.includes(`routes[${index}]`));
    expect(of(0)).toHaveLength(expected.length + 1);
    for (const words of [...expected, 'origins[0]: "*.a.example" is no origin'])
      expect(of(0).join('\n')).toContain(words);
    expect(of(1).join('\n')).not.toContain('never reached');
    expect(of(1).join('\n')).toContain('rewrite.prefix');
  });

  it('says everything wrong with its certificates at once', async () => {
    const { problems } = await ready(GOOD.replace('tls.crt', 'no.crt').replace('tls.key', 'no.key'));
    expect(problems.map((problem) => problem.split(' error: ')[0])).toEqual([
      'gateway.yaml:6:17:',
      'gateway.yaml:7:16:',
    ]);
  });

  it('looks at the certificates of a config that is broken elsewhere, each at its own place', async () => {
    const { problems } = await ready(GOOD.replace('port: 80', 'port: eighty').replace('tls.crt', 'no.crt'));
    expect(problems.map((problem) => problem.split(' error: ')[0])).toEqual([
      'gateway.yaml:2:11:',
      'gateway.yaml:6:17:',
    ]);
  });
});

it('takes values from the environment that it is given', async () => {
  const text = GOOD.replace('port: 80', 'port: ${PORT}');
  expect((await ready(text, { PORT: '8080' })).prepared?.config.listeners[0]?.port).toBe(8080);
  expect((await ready(text)).problems[0]).toContain('PORT');
});
