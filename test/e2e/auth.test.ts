// Routes that ask for tokens, through the built gateway: which tokens are taken, that none reaches a backend from where it
// must not, what a token's claims become, and that a live socket ends when its token does.
import { execFile } from 'node:child_process';
import { createSecretKey, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportSPKI, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { ADDON } from '../../src/relay/native/addon.ts';
import { openBrowser } from '../support/browser.ts';
import { parseFrames, readClose } from '../support/frames.ts';
import { type Gateway, type GatewayFile, MAIN, startGateway } from '../support/gateway.ts';
import { type Issuer, now, startIssuer } from '../support/issuer.ts';
import { hasPeers } from '../support/peers.ts';
import { bothListeners, fetchBy, optionsOf, PROTOCOLS, type Protocol, targetOf } from '../support/protocols.ts';
import { connectRaw, exchange, handshake, readAnswer } from '../support/raw.ts';

const ISS = 'https://login.example.com';
const FROM = ['header', { cookie: 'session' }, { query: 'access_token' }, { subprotocol: 'bearer.' }] as const;
const ENGINES = existsSync(ADDON) ? (['native', 'js'] as const) : (['js'] as const);

/** What a backend was asked, and a WebSocket server that echoes. */
async function startBackend() {
  const seen: string[] = [];
  const note = ({ method, url, rawHeaders }: IncomingMessage) =>
    seen.push(
      [`${method} ${url}`, ...rawHeaders.map((text, i) => (i % 2 === 0 ? `${text}: ` : `${text}\n`))].join('\n'),
    );
  const server = createServer((req, res) => {
    note(req);
    res.end(JSON.stringify(req.rawHeaders));
  });
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket, req) => {
    note(req);
    socket.on('message', (data) => socket.send(data));
    socket.on('close', (code) => seen.push(`closed ${code}`));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = () => {
    for (const client of sockets.clients) client.terminate();
    server.close();
    server.closeAllConnections();
  };
  return { port: (server.address() as AddressInfo).port, seen, close };
}

let issuer: Issuer;
let backend: Awaited<ReturnType<typeof startBackend>>;
let gateway: Gateway;
let rsa: Awaited<ReturnType<typeof generateKeyPair>>;
let publicPem: string;
const SECRET = randomBytes(32).toString('hex');

function config(engine: 'native' | 'js' = 'js'): GatewayFile {
  const jwt = {
    from: [...FROM],
    jwks: issuer.jwks,
    algorithms: ['ES256' as const],
    issuer: ISS,
    audience: ['chat'],
    required_claims: { role: 'member' },
  };
  const set = { 'X-User': '{claim.sub}', 'X-Roles': '{claim.roles}' };
  const upstream = 'backend';
  const file = (name: string, text: string) => {
    const path = join(tmpdir(), `upgate-${process.pid}-${name}`);
    writeFileSync(path, text);
    return path;
  };
  const rest = { http: { upstream } };
  const rs = { from: ['header' as const], algorithms: ['RS256' as const] };
  return {
    listeners: bothListeners(),
    relay: { engine },
    log: { level: 'trace' },
    upstreams: { backend: { servers: [`http://127.0.0.1:${backend.port}`] } },
    routes: [
      {
        name: 'splice',
        match: { path: '/splice' },
        auth: { jwt },
        websocket: { mode: 'splice', upstream, origins: 'any', limits: { connections_per_ip: 5 } },
        headers: { request: { set } },
      },
      {
        name: 'opaque',
        match: { path: '/opaque' },
        auth: { jwt },
        websocket: { mode: 'splice', upstream, origins: 'any', inspect: 'off' },
      },
      { name: 'echo', match: { path: '/echo' }, auth: { jwt }, websocket: { mode: 'terminate', handler: 'echo' } },
      {
        name: 'rooms',
        match: { path: '/rooms/{room}' },
        auth: { jwt },
        websocket: { mode: 'terminate', handler: 'rooms', rooms: { user: '{claim.sub}' } },
      },
      {
        name: 'api',
        match: { path: '/api/*' },
        auth: { jwt, preflight: 'pass' },
        ...rest,
        headers: { request: { set } },
      },
      { name: 'stripped', match: { path: '/stripped' }, auth: { jwt: { ...jwt, keep_token: false } }, ...rest },
      { name: 'rsa', match: { path: '/rsa' }, auth: { jwt: { ...rs, key_file: file('rsa.pem', publicPem) } }, ...rest },
      {
        name: 'secret',
        match: { path: '/secret' },
        auth: { jwt: { from: ['header'], algorithms: ['HS256'], key: SECRET, require_exp: false, max_age: '1h' } },
        ...rest,
      },
      {
        name: 'own',
        match: { path: '/own' },
        auth: { jwt },
        respond: { body: 'hello', headers: { 'X-User': '{claim.sub}', 'X-None': '{claim.none}' } },
      },
    ],
  };
}

const sign = (claims: JWTPayload = {}, header?: { kid?: string }) =>
  issuer.sign({ iss: ISS, aud: 'chat', role: 'member', ...claims }, header);

/** A plain request, and how it ended. */
const getBy =
  (protocol: Protocol) =>
  async (path: string, token?: string, fields: Record<string, string> = {}) => {
    const headers = token === undefined ? fields : { ...fields, Authorization: `Bearer ${token}` };
    const { status, text, headers: answered } = await fetchBy(gateway, protocol, path, { headers });
    return { status, text, challenge: answered['www-authenticate'] ?? null };
  };

beforeAll(async () => {
  [issuer, backend, rsa] = await Promise.all([
    startIssuer(),
    startBackend(),
    generateKeyPair('RS256', { extractable: true }),
  ]);
  publicPem = await exportSPKI(rsa.publicKey);
  gateway = await startGateway(config());
});
afterAll(async () => {
  await gateway?.stop();
  issuer?.close();
  backend?.close();
});

describe.each(PROTOCOLS)('which tokens are taken, by HTTP/%s', (protocol) => {
  const get = getBy(protocol);
  it('one that is good', async () => {
    expect(await get('/api/a', await sign())).toMatchObject({ status: 200 });
  });
  it('none: 401 that says what to show, and nothing else', async () => {
    expect(await get('/api/a')).toMatchObject({ status: 401, challenge: 'Bearer' });
  });

  const unsigned = (claims: object) =>
    `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.`;
  it.each<[string, () => string | Promise<string>, string]>([
    ['expired', () => sign({ exp: now() - 5 }), 'expired'],
    ['not valid yet', () => sign({ nbf: now() + 60 }), 'not valid yet'],
    ['without exp', () => issuer.sign({ iss: ISS, aud: 'chat', role: 'member' }, {}, 'never'), 'claim exp is missing'],
    ['of another issuer', () => sign({ iss: 'https://evil.example' }), 'claim iss'],
    ['for another audience', () => sign({ aud: ['mail'] }), 'claim aud'],
    ['without a required claim', () => sign({ role: 'guest' }), 'claim role'],
    ['of a key that is not known', () => sign({}, { kid: 'other' }), 'key of the token is not known'],
    [
      'with a changed claim',
      async () => {
        const [head, , signature] = (await sign()).split('.');
        return `${head}.${Buffer.from('{"sub":"eve","exp":9999999999}').toString('base64url')}.${signature}`;
      },
      'signature',
    ],
    ['without a signature', () => unsigned({ sub: 'eve', exp: now() + 60 }), 'algorithm'],
    ['that is none', () => 'abc', 'malformed'],
    [
      'of HMAC',
      () =>
        new SignJWT({ sub: 'eve' })
          .setProtectedHeader({ alg: 'HS256' })
          .setExpirationTime('1h')
          .sign(createSecretKey(SECRET, 'utf8')),
      'algorithm',
    ],
  ])('not one %s', async (_, token, detail) => {
    const { status, text, challenge } = await get('/api/a', await token());
    expect(status).toBe(401);
    expect(JSON.parse(text)).toMatchObject({ reason: 'auth', detail: expect.stringContaining(detail) });
    expect(challenge).toMatch(/^Bearer error="invalid_token", error_description="[^"]+"$/);
  });

  it('not two of them: 401 invalid_request', async () => {
    const token = await sign();
    const answer = await get('/api/a', token, { Cookie: `session=${await sign({ sub: 'eve' })}` });
    expect(answer).toMatchObject({ status: 401, challenge: expect.stringContaining('invalid_request') });
    expect(await get('/api/a', token, { Cookie: `session=${token}` })).toMatchObject({ status: 200 });
  });

  it('by a public key of a file, which is never taken for the secret of HMAC', async () => {
    const good = await new SignJWT({ sub: 'ada' })
      .setProtectedHeader({ alg: 'RS256' })
      .setExpirationTime('1h')
      .sign(rsa.privateKey);
    expect(await get('/rsa', good)).toMatchObject({ status: 200 });
    const forged = await new SignJWT({ sub: 'eve' })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime('1h')
      .sign(createSecretKey(publicPem, 'utf8'));
    expect(await get('/rsa', forged)).toMatchObject({ status: 401 });
    expect(await get('/secret', good)).toMatchObject({ status: 401 });
  });

  it('by a secret, up to its greatest age', async () => {
    const by = (secret: string, iat: number) =>
      new SignJWT({ sub: 'ada', iat }).setProtectedHeader({ alg: 'HS256' }).sign(createSecretKey(secret, 'utf8'));
    expect(await get('/secret', await by(SECRET, now()))).toMatchObject({ status: 200 });
    expect(await get('/secret', await by(SECRET, now() - 3605))).toMatchObject({ status: 401 });
    expect(await get('/secret', await by(`${SECRET}x`, now()))).toMatchObject({ status: 401 });
  });

  it('none for a preflight, and for nothing that only looks like one', async () => {
    const preflight = ['Origin: https://a.example', 'Access-Control-Request-Method: PUT'];
    const ask = async (method: string, path: string, lines: string[]) => {
      const head = [`${method} ${path} HTTP/1.1`, 'Host: a', 'Connection: close', ...lines, '', ''].join('\r\n');
      return readAnswer(await exchange(targetOf(gateway, protocol), head)).status;
    };
    expect(await ask('OPTIONS', '/api/a', preflight)).toBe(200);
    expect(await ask('GET', '/api/a', preflight)).toBe(401);
    expect(await ask('OPTIONS', '/api/a', preflight.slice(0, 1))).toBe(401);
    expect(await ask('OPTIONS', '/stripped', preflight)).toBe(401);
  });

  it('for an answer of our own too, whose fields may name claims', async () => {
    expect(await get('/own')).toMatchObject({ status: 401 });
    const headers = { Authorization: `Bearer ${await sign()}` };
    const { headers: answered } = await fetchBy(gateway, protocol, '/own', { headers });
    expect([answered['x-user'], answered['x-none']]).toEqual(['ada', undefined]);
  });
});

describe.each(PROTOCOLS)('where a token may stand, and where it goes, by HTTP/%s', (protocol) => {
  const get = getBy(protocol);
  interface Shown {
    query?: string;
    fields?: Record<string, string>;
  }
  const PLACES: [string, (token: string) => Shown, boolean][] = [
    ['header', (token) => ({ fields: { Authorization: `Bearer ${token}` } }), true],
    ['cookie', (token) => ({ fields: { Cookie: `a=1; session=${token}` } }), true],
    ['query', (token) => ({ query: `?a=1&access_token=${token}&b=%2f` }), false],
    ['subprotocol', (token) => ({ fields: { 'Sec-WebSocket-Protocol': `bearer.${token}, chat` } }), false],
  ];
  const open = async (path: string, { query = '', fields = {} }: Shown) => {
    const connection = await connectRaw(targetOf(gateway, protocol));
    connection.write(handshake(fields, `GET ${path}${query} HTTP/1.1`));
    const answer = (await connection.until('\r\n\r\n')).toString('latin1');
    return { connection, answer };
  };
  const plain = (path: string, { query = '', fields = {} }: Shown, ...more: string[]) => {
    const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}`);
    const head = [`GET ${path}${query} HTTP/1.1`, 'Host: a', 'Connection: close', ...lines, ...more, '', ''];
    return exchange(targetOf(gateway, protocol), head.join('\r\n'));
  };

  it.each(PLACES)('a spliced session by %s', async (_, place, reaches) => {
    const token = await sign();
    const before = backend.seen.length;
    const { connection, answer } = await open('/splice', place(token));
    expect(answer).toContain('101');
    expect(answer).not.toContain(token);
    await expect.poll(() => backend.seen.length).toBeGreaterThan(before);
    const asked = backend.seen.slice(before).join('\n');
    expect(asked.includes(token)).toBe(reaches);
    expect(asked).toContain('X-User');
    connection.reset();
  });

  it.each(PLACES)('a terminated session by %s', async (_, place) => {
    const token = await sign();
    const { connection, answer } = await open('/echo', place(token));
    expect(answer).toContain('101');
    expect(answer).not.toContain(token);
    expect(/sec-websocket-protocol: (.*)\r/i.exec(answer)?.[1]).toBe(_ === 'subprotocol' ? 'chat' : undefined);
    connection.reset();
  });

  it.each(PLACES.slice(0, 3))('a plain request by %s', async (_, place, reaches) => {
    const token = await sign({ sub: 'zoë', roles: ['a', 'b'] });
    const forged = ['X-User: root', 'X_User: root', 'x-roles: admin'];
    const before = backend.seen.length;
    const answer = await plain('/api/x', place(token), ...forged);
    expect(readAnswer(answer).status).toBe(200);
    const asked = backend.seen.slice(before).join('\n');
    expect(asked.includes(token)).toBe(reaches);
    expect(asked.replaceAll(token, '')).not.toMatch(/root|admin/);
    expect(asked).toContain('X-Roles: \na,b');
    expect(Buffer.from(/X-User: \n(.*)\n/.exec(asked)?.[1] ?? '', 'latin1').toString()).toBe('zoë');
    if (_ === 'query') expect(asked).toContain('/api/x?a=1&b=%2f\n');
  });

  it('with keep_token: false no backend gets one', async () => {
    const token = await sign();
    const before = backend.seen.length;
    expect((await get('/stripped', undefined, { Cookie: `a=1; session=${token}; b=2` })).status).toBe(200);
    expect((await get('/stripped', token)).status).toBe(200);
    const asked = backend.seen.slice(before).join('\n');
    expect(asked).not.toContain(token);
    expect(asked).toContain('a=1; b=2');
  });

  it('a claim that would break out of its field is not sent, and the client’s own does not pass in its place', async () => {
    const before = backend.seen.length;
    const evil = await sign({ sub: 'a\r\nX-Admin: 1', roles: ['a,b'] });
    expect((await get('/api/x', evil, { 'X-User': 'root' })).status).toBe(200);
    // Its signature is random, and may spell anything.
    expect(backend.seen.slice(before).join('\n').replaceAll(evil, '')).not.toMatch(/X-Admin|X-User|X-Roles|root/i);
  });

  it('a claim names the user of a room', async () => {
    const name = async (token: string) => {
      const socket = new WebSocket(
        `ws://127.0.0.1:${targetOf(gateway, protocol).port}/rooms/lobby`,
        ['chat', `bearer.${token}`],
        optionsOf(protocol),
      );
      await once(socket, 'open');
      expect(socket.protocol).toBe('chat');
      return socket;
    };
    const [ada, bob] = [await name(await sign({ sub: 'ada' })), await name(await sign({ sub: 'bob' }))];
    const said = once(bob, 'message');
    ada.send('hello');
    expect(String((await said)[0])).toBe('ada: hello');
    for (const socket of [ada, bob]) socket.terminate();
    const refused = await open('/rooms/lobby', { fields: { Authorization: `Bearer ${await sign({ sub: 'a b' })}` } });
    expect(refused.answer).toContain('400');
    refused.connection.reset();
  });

  it('no token is in any output, whichever way it came and however it was refused', async () => {
    const tokens = [await sign({ sub: 'quiet' }), await sign({ exp: now() - 9 })];
    for (const token of tokens) {
      for (const [, place] of PLACES) {
        for (const path of ['/splice', '/echo', '/nowhere']) (await open(path, place(token))).connection.reset();
        await plain('/api/x', place(token));
      }
    }
    await gateway.log({ event: 'request_completed', user: 'quiet' });
    for (const token of tokens) {
      for (const part of [token, ...token.split('.').slice(1)]) expect(gateway.output()).not.toContain(part);
    }
    expect(gateway.output()).not.toMatch(/bearer\.|access_token|session=|s3cret/i);
  });
});

describe.skipIf(!hasPeers('chromium'))('in Chromium', () => {
  it('a token among the subprotocols opens a socket, and a token alone does not', async () => {
    const browser = await openBrowser();
    try {
      const page = await browser.newPage();
      const tryWith = (protocols: string[]) =>
        // As text: vitest would write the page's own WebSocket as an import.
        page.evaluate(`new Promise((resolve) => {
          const socket = new WebSocket('ws://127.0.0.1:${gateway.port}/splice', ${JSON.stringify(protocols)});
          socket.onopen = () => socket.send('from a browser');
          socket.onmessage = ({ data }) => data.text().then((text) => resolve([socket.protocol, text]));
          socket.onclose = ({ code }) => resolve(code);
        })`);
      const bearer = `bearer.${await sign()}`;
      expect(await tryWith(['chat', bearer])).toEqual(['chat', 'from a browser']);
      expect(await tryWith([bearer])).toBe(1006);
    } finally {
      await browser.close();
    }
  });
});

describe('upgate explain', () => {
  const explain = (url: string, ...options: string[]) =>
    new Promise<{ code: number; text: string }>((resolve) => {
      const args = [MAIN, 'explain', url, '-c', gateway.file, ...options];
      execFile(process.execPath, args, (error, out, err) =>
        resolve({ code: Number(error?.code ?? 0), text: out + err }),
      );
    });
  it('says whether a token is good, wherever it is given, and never prints it', async () => {
    const token = await sign();
    const asked = [
      await explain('ws://a/splice', '--token', token),
      await explain(`ws://a/splice?access_token=${token}`),
      await explain('ws://a/splice', '--protocol', `chat, bearer.${token}`),
    ];
    for (const { code, text } of asked) {
      expect(text).toContain('  yes  auth: ada, until 20');
      expect(text).toContain('-> 101');
      expect(code).toBe(0);
      expect(text).not.toContain(token);
    }
  });
  it('says why one is not, and that none was looked at', async () => {
    const expired = await explain('http://a/api/x', '--token', await sign({ exp: now() - 60 }));
    expect(expired.text).toContain('-> 401 auth: the token has expired');
    expect(expired.code).toBe(1);
    expect((await explain('http://a/api/x')).text).toContain('auth: not looked at');
  });
});

describe.each(ENGINES)('a live socket ends when its token does, engine %s', (engine) => {
  let own: Gateway;
  beforeAll(async () => {
    own = await startGateway(config(engine));
  });
  afterAll(async () => {
    await own?.stop();
  });
  const connect = async (path: string, seconds: number) => {
    const token = await sign({ exp: now() + seconds });
    const socket = new WebSocket(`ws://127.0.0.1:${own.port}${path}`, {
      headers: { Authorization: `Bearer ${token}` },
    });
    await once(socket, 'open');
    return socket;
  };

  it.each(['/splice', '/echo'])('%s: Close 4401 to a client that speaks all the while', async (path) => {
    const started = Date.now();
    const socket = await connect(path, 4);
    socket.on('message', (data) => socket.send(data));
    socket.send('ping');
    const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
    expect([code, String(reason)]).toEqual([4401, 'credential expired']);
    expect(Date.now() - started).toBeGreaterThan(1000);
    expect(await own.log({ event: 'session_closed', close_code: 4401, path })).toMatchObject({
      user: 'ada',
      closed_by: 'gateway',
      cut: false,
    });
  });

  it('a raw client gets the Close and the end; the backend gets the Close too', async () => {
    const before = backend.seen.length;
    const connection = await connectRaw(own.port);
    connection.write(handshake({ Authorization: `Bearer ${await sign({ exp: now() + 4 })}` }, 'GET /splice HTTP/1.1'));
    expect((await connection.until('\r\n\r\n')).toString('latin1')).toContain(' 101 ');
    const bytes = await connection.until(
      (all) => parseFrames(all.subarray(all.indexOf('\r\n\r\n') + 4)).frames.length > 0,
    );
    const [frame] = parseFrames(bytes.subarray(bytes.indexOf('\r\n\r\n') + 4)).frames;
    expect(readClose(frame!)).toEqual({ code: 4401, reason: 'credential expired' });
    await expect.poll(() => backend.seen.slice(before)).toContain('closed 4401');
    connection.reset();
  });

  it('an opaque tunnel is cut', async () => {
    const socket = await connect('/opaque', 4);
    const [code] = (await once(socket, 'close')) as [number];
    expect(code).toBe(1006);
    expect(await own.log({ event: 'session_closed', route: 'opaque' })).toMatchObject({
      user: 'ada',
      closed_by: 'gateway',
      reason: 'credential expired',
    });
  });

  it('not one whose token ends in a thousand years', async () => {
    const socket = await connect('/splice', 32e9);
    const echoed = once(socket, 'message');
    socket.send('still there');
    expect(String((await echoed)[0])).toBe('still there');
    socket.terminate();
  });
});

describe('the key set', () => {
  const routeFor = (of: Issuer, jwks = {}): GatewayFile => ({
    listeners: [{ port: 0, host: '127.0.0.1' }],
    routes: [
      {
        name: 'echo',
        match: { path: '/echo' },
        auth: { jwt: { jwks: of.jwks, algorithms: ['ES256'], audience: 'chat', jwks_cooldown: '1ms', ...jwks } },
        websocket: { mode: 'terminate', handler: 'echo', limits: { connections_per_ip: 1 } },
        respond: { body: 'hello' },
      },
    ],
  });
  const ask = async (port: number, token: string) => {
    const answer = await fetch(`http://127.0.0.1:${port}/echo`, { headers: { Authorization: `Bearer ${token}` } });
    return { status: answer.status, retry: answer.headers.get('retry-after'), text: await answer.text() };
  };

  it.each(['error', 'redirect', 'huge', 'nonsense'] as const)(
    'answered with %s lets nobody in, and is asked again',
    async (manner) => {
      const of = await startIssuer();
      of.answer(manner);
      const own = await startGateway(routeFor(of));
      const token = await of.sign({ aud: 'chat' });
      const refused = await ask(own.port, token);
      expect(refused).toMatchObject({ status: 503, retry: '5' });
      expect(JSON.parse(refused.text)).toMatchObject({ reason: 'auth_unavailable' });
      of.answer('well');
      await expect.poll(async () => (await ask(own.port, token)).status).toBe(200);
      await own.log({ event: 'keys_fetched', result: 'failed', level: 'warn' });
      expect(own.logs().filter(({ event, level }) => event === 'keys_fetched' && level === 'warn')).toHaveLength(1);
      expect(await own.metric('auth_jwks_refreshes_total', { result: 'failed' })).toBeGreaterThan(0);
      await own.stop();
      of.close();
    },
  );

  it('that does not come in time lets nobody in', async () => {
    const of = await startIssuer();
    of.answer('never');
    const own = await startGateway(routeFor(of, { jwks_timeout: '200ms' }));
    expect((await ask(own.port, await of.sign({ aud: 'chat' }))).status).toBe(503);
    await own.stop();
    of.close();
  });

  it('is fetched once, also by a reload, and anew for a key that it does not have', async () => {
    const of = await startIssuer();
    const own = await startGateway(routeFor(of));
    const token = await of.sign({ aud: 'chat' });
    await Promise.all(Array.from({ length: 5 }, () => ask(own.port, token)));
    expect(of.asked()).toBe(1);
    writeFileSync(own.file, JSON.stringify({ admin: { port: 0 }, log: { level: 'debug' }, ...routeFor(of) }));
    own.signal('SIGHUP');
    await own.log({ event: 'config_reloaded', result: 'success' });
    expect((await ask(own.port, token)).status).toBe(200);
    expect(of.asked()).toBe(1);
    await of.rotate();
    expect((await ask(own.port, await of.sign({ aud: 'chat' }))).status).toBe(200);
    expect(of.asked()).toBe(2);
    await own.stop();
    of.close();
  });

  it('goes on being used where the issuer is gone, and grows old meanwhile', async () => {
    const of = await startIssuer();
    const own = await startGateway(routeFor(of, { jwks_refresh: '1ms' }));
    const token = await of.sign({ aud: 'chat' });
    expect((await ask(own.port, token)).status).toBe(200);
    of.close();
    // The first of them may still find a fetch under way that began before the issuer was gone.
    const answered = new Set<number>();
    await expect
      .poll(async () => {
        answered.add((await ask(own.port, token)).status);
        return own.metric('auth_jwks_refreshes_total', { result: 'failed' });
      })
      .toBeGreaterThan(0);
    expect([...answered]).toEqual([200]);
    await own.log({ event: 'keys_fetched', result: 'failed', level: 'warn' });
    expect((await ask(own.port, token)).status).toBe(200);
    expect((await ask(own.port, await of.sign({ aud: 'chat' }, { kid: 'new' }))).status).toBe(401);
    await own.stop();
  });

  it('that is waited for holds nothing of a client that leaves', async () => {
    const of = await startIssuer();
    of.answer('never');
    const own = await startGateway(routeFor(of, { jwks_timeout: '60s' }));
    const token = await of.sign({ aud: 'chat' });
    const knock = async () => {
      const connection = await connectRaw(own.port);
      connection.write(handshake({ Authorization: `Bearer ${token}` }, 'GET /echo HTTP/1.1'));
      return connection;
    };
    for (let i = 1; i <= 3; i++) {
      // One of the two has the one place there is; which of them is the gateway's to say.
      const two = [await knock(), await knock()];
      await expect.poll(() => two.filter((one) => one.received().includes('429')).length).toBe(1);
      expect(two.filter((one) => one.received().length === 0)).toHaveLength(1);
      for (const one of two) one.reset();
      const left = () => own.logs().filter(({ reason }) => reason === 'client_gone').length;
      await expect.poll(left).toBeGreaterThanOrEqual(i);
    }
    const plain = await connectRaw(own.port);
    plain.write(`GET /echo HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\n\r\n`);
    await expect.poll(() => own.metric('http_requests_in_flight')).toBe(1);
    plain.reset();
    await own.log({ event: 'request_completed', route: 'echo', reason: 'client_gone', status: 499 });
    expect(own.logs().filter(({ level }) => level === 'error')).toEqual([]);
    await own.stop();
    of.close();
  });
});
