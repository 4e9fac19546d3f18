// What the admin listener shows to whom, through the built gateway: on loopback, on an address others reach, under other
// names, to pages of other origins; and that nothing of it is on the listeners for clients.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Gateway, type GatewayFile, startGateway } from '../../support/gateway.ts';
import { exchange, type RawAnswer, readAnswer } from '../../support/raw.ts';

const TOKEN = 'a-token-of-some-length';
const PROBES = ['/metrics', '/healthz', '/readyz'];
const PAGES = [
  '/',
  '/shell.js',
  '/console.js',
  '/status.js',
  '/parts.js',
  '/console.css',
  '/status.css',
  '/routes',
  '/explain?url=ws%3A%2F%2Fx%2Fecho',
  '/openapi.json',
];
const API = ['/rooms', '/rooms/a/members', '/connections/x'];
const NOWHERE = ['/nothing', '/debug', '/Metrics', '/../'];

const start = (admin: GatewayFile['admin'], more: Partial<GatewayFile> = {}) =>
  startGateway({
    listeners: [{ host: '127.0.0.1', port: 0 }],
    routes: [{ name: 'echo', match: { path: '/echo' }, websocket: { mode: 'terminate', handler: 'echo' } }],
    ...more,
    ...(admin === undefined ? {} : { admin: { port: 0, ...admin } }),
  });

const ask = async (
  port: number,
  target: string,
  fields: readonly string[] = [],
  method = 'GET',
): Promise<RawAnswer> => {
  const head = [
    `${method} ${target} HTTP/1.1`,
    ...(fields.some((one) => /^host:/i.test(one)) ? [] : ['Host: 127.0.0.1']),
  ];
  return readAnswer(await exchange(port, [...head, ...fields, 'Connection: close', '', ''].join('\r\n')));
};
const field = ({ fields }: RawAnswer, name: string) =>
  fields.filter(([given]) => given.toLowerCase() === name).map(([, value]) => value);
const statuses = (port: number, targets: readonly string[], fields: readonly string[] = []) =>
  Promise.all(targets.map(async (target) => (await ask(port, target, fields)).status));
const basic = (text: string) => `Authorization: Basic ${Buffer.from(text).toString('base64')}`;
const bearer = (token: string) => `Authorization: Bearer ${token}`;
const all = (status: number, of: readonly string[]) => of.map(() => status);

describe('by default', () => {
  it('is on loopback, where the page needs no token and the API has none', async () => {
    const gateway = await start(undefined);
    try {
      const started = await gateway.log({ msg: 'started' });
      expect(String(started['admin'])).toMatch(/^127\.0\.0\.1:\d+$/);
      expect(await statuses(gateway.adminPort, [...PROBES, ...PAGES])).toEqual(all(200, [...PROBES, ...PAGES]));
      expect(await statuses(gateway.adminPort, API)).toEqual(all(403, API));
    } finally {
      await gateway.stop();
    }
  });
});

describe.each(['0.0.0.0', '::'])('on %s, which others reach', (host) => {
  it('without a token gives the probes and nothing else', async () => {
    const gateway = await start({ host });
    try {
      const hidden = [...PAGES, ...API, ...NOWHERE];
      expect(await statuses(gateway.adminPort, PROBES)).toEqual(all(200, PROBES));
      expect(await statuses(gateway.adminPort, hidden)).toEqual(all(403, hidden));
      expect(await statuses(gateway.adminPort, hidden, [bearer('undefined')])).toEqual(all(403, hidden));
      const answer = await ask(gateway.adminPort, '/');
      expect(answer.body).toContain('admin.token');
      expect(answer.body).not.toContain('<html');
    } finally {
      await gateway.stop();
    }
  });

  it('with one asks for it everywhere but at the probes', async () => {
    const gateway = await start({ host, token: TOKEN });
    try {
      const port = gateway.adminPort;
      const hidden = [...PAGES, ...API, ...NOWHERE];
      expect(await statuses(port, PROBES)).toEqual(all(200, PROBES));
      for (const fields of [[], [bearer(`${TOKEN}x`)], [basic('x:y')], [basic(TOKEN)], [`Cookie: token=${TOKEN}`]])
        expect(await statuses(port, hidden, fields)).toEqual(all(401, hidden));
      expect(await statuses(port, [`/?token=${TOKEN}`, `/routes?access_token=${TOKEN}`])).toEqual([401, 401]);
      expect(await statuses(port, PAGES, [bearer(TOKEN)])).toEqual(all(200, PAGES));
      expect(await statuses(port, PAGES, [basic(`anyone:${TOKEN}`)])).toEqual(all(200, PAGES));
      expect(await statuses(port, ['/nothing'], [bearer(TOKEN)])).toEqual([404]);
      expect(field(await ask(port, '/'), 'www-authenticate').join()).toMatch(/^Basic realm=.*Bearer$/);
    } finally {
      await gateway.stop();
    }
  });
});

describe('with a token, on loopback', () => {
  let gateway: Gateway;
  beforeAll(async () => {
    gateway = await start({ token: TOKEN, hosts: ['Gate.Example.'] });
  });
  afterAll(() => gateway.stop());

  it('the API never takes it as a password, which a browser would send along by itself', async () => {
    expect(await statuses(gateway.adminPort, ['/rooms'], [basic(`x:${TOKEN}`)])).toEqual([401]);
    expect(await statuses(gateway.adminPort, ['/rooms'], [bearer(TOKEN)])).toEqual([200]);
  });

  it('a form of another site can do nothing', async () => {
    const answer = await ask(
      gateway.adminPort,
      '/rooms/lobby/messages',
      ['Origin: https://evil.test', 'Content-Type: text/plain', 'Content-Length: 0', 'Cookie: a=b'],
      'POST',
    );
    expect(answer.status).toBe(401);
  });

  it.each([
    '127.0.0.1',
    '127.0.0.1:1',
    '10.1.2.3',
    '[::1]',
    '[fe80::1]:80',
    'localhost',
    'LOCALHOST:1',
    'gate.example',
    'GATE.example:1',
    'localhost.',
    'gate.example.',
  ])('may be asked as %s', async (host) => {
    expect(await statuses(gateway.adminPort, ['/', '/rooms'], [`Host: ${host}`, bearer(TOKEN)])).toEqual([200, 200]);
  });

  it.each([
    ['a name', ['Host: evil.test']],
    ['a name that ends in an address', ['Host: evil.test.127.0.0.1']],
    ['a name that begins with an address', ['Host: 127.0.0.1.evil.test']],
    ['a name that begins with localhost', ['Host: localhost.evil.test']],
    ['a name below localhost', ['Host: evil.localhost']],
    ['localhost with two dots', ['Host: localhost..']],
    ['a listed name with two dots', ['Host: gate.example..']],
    ['a name below a listed one', ['Host: evil.gate.example']],
    ['a short address', ['Host: 127.1']],
    ['an address as one number', ['Host: 2130706433']],
    ['an address in hexadecimal', ['Host: 0x7f000001']],
    ['an address in octal', ['Host: 0177.0.0.1']],
    ['an address with a zone', ['Host: [::1%25lo]']],
    ['an open bracket', ['Host: [evil.test']],
    ['a bracketed name', ['Host: [evil.test]']],
    ['userinfo', ['Host: 127.0.0.1@evil.test']],
    ['a fragment', ['Host: evil.test#127.0.0.1']],
    ['a list', ['Host: 127.0.0.1, evil.test']],
    ['two Hosts, the first good', ['Host: 127.0.0.1', 'Host: evil.test']],
    ['two Hosts, the second good', ['Host: evil.test', 'Host: 127.0.0.1']],
    ['a good X-Forwarded-Host', ['Host: evil.test', 'X-Forwarded-Host: 127.0.0.1']],
    ['nothing', ['Host:']],
  ])('may not be asked as %s', async (_, fields) => {
    for (const target of ['/', '/routes', '/rooms', '/nothing']) {
      const answer = await ask(gateway.adminPort, target, [...fields, bearer(TOKEN)]);
      expect([answer.status, JSON.parse(answer.body).reason]).toEqual([403, 'host']);
    }
  });

  it('a good target does not stand for a bad Host', async () => {
    const answer = await ask(gateway.adminPort, 'http://127.0.0.1/routes', ['Host: evil.test', bearer(TOKEN)]);
    expect(answer.status).toBe(403);
  });

  it.each([...PROBES, ...PAGES, ...API, ...NOWHERE])('%s has nothing for pages of other origins', async (target) => {
    for (const [method, fields] of [
      ['GET', ['Origin: https://evil.test']],
      [
        'OPTIONS',
        [
          'Origin: https://evil.test',
          'Access-Control-Request-Method: GET',
          'Access-Control-Request-Headers: authorization',
        ],
      ],
    ] as const) {
      const answer = await ask(gateway.adminPort, target, [...fields], method);
      expect(answer.fields.filter(([name]) => /^access-control-/i.test(name))).toEqual([]);
      expect(field(answer, 'cross-origin-resource-policy')).toEqual(['same-origin']);
      expect(field(answer, 'x-content-type-options')).toEqual(['nosniff']);
      expect(field(answer, 'cache-control')).toEqual(['no-store']);
      if (method === 'OPTIONS') expect(answer.status).toBeGreaterThanOrEqual(400);
    }
  });

  it.each([...PROBES, ...PAGES, ...API, ...NOWHERE])('%s has a strict policy', async (target) => {
    const [policy, ...further] = field(await ask(gateway.adminPort, target), 'content-security-policy');
    expect(further).toEqual([]);
    expect(policy).toMatch(/^default-src 'none'; /);
    expect(policy).toMatch(/frame-ancestors 'none'$/);
    expect(policy).not.toMatch(/unsafe|\*|https?:|data:.*script/);
  });

  it('the token is in no answer and no line of the log', async () => {
    for (const target of [...PROBES, ...PAGES, ...API]) {
      const answer = await ask(gateway.adminPort, target, [bearer(TOKEN)]);
      expect(JSON.stringify(answer)).not.toContain(TOKEN);
    }
    expect(gateway.output()).not.toContain(TOKEN);
  });
});

it('nothing of it is on the listeners for clients', async () => {
  const gateway = await start({ token: TOKEN });
  try {
    const targets = [...PROBES, ...PAGES, ...API, ...NOWHERE.filter((target) => target !== '/../')];
    expect(await statuses(gateway.port, targets, [bearer(TOKEN)])).toEqual(all(404, targets));
    expect(await statuses(gateway.port, targets, ['Host: localhost'])).toEqual(all(404, targets));
  } finally {
    await gateway.stop();
  }
});
