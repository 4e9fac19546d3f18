// What a listener of the built gateway refuses and adds by its own rules, over HTTP/1.1, HTTP/2 and for handshakes alike:
// requests without TLS, requests over a connection that was made for another name, and HSTS.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSelfSigned } from '../../src/runtime/tls/self-signed.ts';
import { run } from '../support/child.ts';
import { openClient, openRefused } from '../support/client.ts';
import { type Gateway, type GatewayFile, startGateway } from '../support/gateway.ts';
import { connectRaw, readAnswer } from '../support/raw.ts';
import { type RestServer, startRest } from '../support/rest.ts';

const dir = mkdtempSync(join(tmpdir(), 'upgate-https-'));

function writePair(label: string, ...names: string[]) {
  const { cert, key } = makeSelfSigned(names, new Date());
  const files = { cert: join(dir, `${label}.crt`), key: join(dir, `${label}.key`) };
  writeFileSync(files.cert, cert);
  writeFileSync(files.key, key);
  return files;
}

const PLAIN = 0;
const TLS = 1;
const TRUSTING = 2;

let gateway: Gateway;
let rest: RestServer;
const HSTS = 'max-age=15552000; includeSubDomains';
beforeAll(async () => {
  rest = await startRest();
  const certificates = [writePair('first', 'first.test', '*.first.test'), writePair('other', 'other.test')];
  const listeners: GatewayFile['listeners'] = [
    { host: '127.0.0.1', port: 0, redirect_to_https: 8443, http2: { prior_knowledge: true } },
    {
      host: '127.0.0.1',
      port: 0,
      tls: { certificates },
      hsts: { max_age: '180d', include_subdomains: true },
      http2: { extended_connect: true },
    },
    { host: '127.0.0.2', port: 0, tls: { certificates }, proxy_protocol: { from: ['127.0.0.1'] } },
  ];
  gateway = await startGateway({
    listeners,
    trusted_proxies: ['192.0.2.9'],
    upstreams: {
      rest: { servers: [`http://127.0.0.1:${rest.port}`] },
      passed: { servers: [`ws://127.0.0.1:${rest.port}`] },
      dead: { servers: ['ws://127.0.0.1:1'] },
    },
    routes: [
      {
        name: 'own',
        match: { path: '/own' },
        respond: { body: 'x', headers: { 'Strict-Transport-Security': 'max-age=1' } },
      },
      { name: 'ws', match: { path: '/ws' }, websocket: { mode: 'terminate', handler: 'echo', origins: 'any' } },
      ...['passed', 'dead'].map((name) => ({
        name,
        match: { path: `/${name}` },
        websocket: { mode: 'splice' as const, upstream: name, origins: 'any' as const },
      })),
      { name: 'challenge', match: { path: '/.well-known/acme-challenge/*' }, respond: { body: 'proof' } },
      { name: 'rest', match: { path: '/seen/*' }, http: { upstream: 'rest' } },
    ],
  });
});
afterAll(async () => {
  expect(await gateway.stop()).toBe(0);
  rest.close();
  rmSync(dir, { recursive: true });
});

/** An answer of HTTP/1.1 to a GET for `host`, over TLS for `servername` where there is one. */
async function get(listener: number, path: string, host: string, servername?: string) {
  const port = gateway.ports[listener]!;
  const raw = await connectRaw(
    servername === undefined ? port : { tls: true, port, host: '127.0.0.1', servername, rejectUnauthorized: false },
  );
  raw.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  const answer = readAnswer((await raw.closed()).bytes);
  raw.socket.destroy();
  const fields: Record<string, string> = {};
  for (const [name, value] of answer.fields) fields[name.toLowerCase()] = value;
  return { status: answer.status, fields };
}

/** The fields of an answer of HTTP/2; plain by prior knowledge where no name is asked for. */
async function get2(listener: number, path: string, host: string, servername?: string, scheme?: string) {
  const origin = `${servername === undefined ? 'http' : 'https'}://127.0.0.1:${gateway.ports[listener]}`;
  const session = http2.connect(origin, { servername: servername ?? '', rejectUnauthorized: false });
  session.on('error', () => {});
  const stream = session.request({
    ':path': path,
    ':authority': host,
    ...(scheme === undefined ? {} : { ':scheme': scheme }),
  });
  const fields = await new Promise<http2.IncomingHttpHeaders>((resolve, reject) => {
    stream.once('response', resolve).once('error', reject);
  });
  session.destroy();
  return fields;
}

describe('without TLS', () => {
  it('a request is sent to https, and told why', async () => {
    const answer = await get(PLAIN, '/seen/a?b=c', 'app.test:8080');
    expect([answer.status, answer.fields['location'], answer.fields['x-gateway-reason']]).toEqual([
      308,
      'https://app.test:8443/seen/a?b=c',
      'https_required',
    ]);
    const labels = { route: 'none', method: 'GET', code: '308' };
    expect(await gateway.metric('http_requests_total', labels)).toBe(1);
  });

  it('so is one of HTTP/2, and a handshake', async () => {
    expect(await get2(PLAIN, '/seen/a', 'app.test')).toMatchObject({
      ':status': 308,
      location: 'https://app.test:8443/seen/a',
    });
    const refusal = await openRefused(`ws://127.0.0.1:${gateway.ports[PLAIN]}/ws`);
    expect([refusal.status, refusal.fields['location']]).toEqual([308, 'https://127.0.0.1:8443/ws']);
    expect(await gateway.metric('websocket_rejections_total', { route: 'none', reason: 'https_required' })).toBe(1);
  });

  it('a challenge of ACME is answered', async () => {
    expect((await get(PLAIN, '/.well-known/acme-challenge/token', 'app.test')).status).toBe(200);
  });

  it('curl follows it with its method and body', async () => {
    const args = ['-s', '-L', '-k', '--noproxy', '*', '-d', 'body', '-o', '/dev/null', '-w', '%{method} %{http_code}'];
    const to = `app.test:8443:127.0.0.1:${gateway.ports[TLS]}`;
    const resolve = [
      '--connect-to',
      to,
      '--resolve',
      `app.test:80:127.0.0.1`,
      '--connect-to',
      `app.test:80:127.0.0.1:${gateway.ports[PLAIN]}`,
    ];
    expect((await run('curl', [...args, ...resolve, 'http://app.test/own'])).stdout).toBe('POST 200');
  });
});

describe('a connection that was made for another name', () => {
  it('is misdirected over HTTP/1.1 and HTTP/2', async () => {
    const answer = await get(TLS, '/seen/a', 'other.test', 'a.first.test');
    expect([answer.status, answer.fields['x-gateway-reason']]).toEqual([421, 'misdirected']);
    expect(await get2(TLS, '/seen/a', 'other.test', 'first.test')).toMatchObject({
      ':status': 421,
      'x-gateway-reason': 'misdirected',
    });
  });

  it('or by another scheme', async () => {
    const answer = await get(TLS, 'http://first.test/seen/a', 'first.test', 'first.test');
    expect([answer.status, answer.fields['x-gateway-reason']]).toEqual([421, 'misdirected']);
    expect((await get(TLS, 'https://first.test/seen/a', 'first.test', 'first.test')).status).toBe(200);
    const wrong = { ':status': 421, 'x-gateway-reason': 'misdirected' };
    expect(await get2(TLS, '/seen/a', 'first.test', 'first.test', 'http')).toMatchObject(wrong);
    expect(await get2(PLAIN, '/seen/a', 'first.test', undefined, 'https')).toMatchObject(wrong);
  });

  it('serves the names of its own certificate, and those that are nobody’s', async () => {
    for (const host of ['b.first.test', 'first.test:443', 'nobody.test']) {
      expect((await get(TLS, '/seen/a', host, 'a.first.test')).status).toBe(200);
      expect((await get2(TLS, '/seen/a', host, 'a.first.test'))[':status']).toBe(200);
    }
    expect((await get(TLS, '/seen/a', 'other.test', '')).status).toBe(200);
  });

  it('opens no WebSocket', async () => {
    const options = { rejectUnauthorized: false, servername: 'first.test' };
    const url = `wss://127.0.0.1:${gateway.ports[TLS]}/ws`;
    const refusal = await openRefused(url, { ...options, headers: { Host: 'other.test' } });
    expect([refusal.status, refusal.fields['x-gateway-reason']]).toEqual([421, 'misdirected']);
    const client = await openClient(url, { ...options, headers: { Host: 'a.first.test' } });
    await client.close();
  });

  it('opens none over HTTP/2 either', async () => {
    const session = http2.connect(`https://127.0.0.1:${gateway.ports[TLS]}`, {
      servername: 'first.test',
      rejectUnauthorized: false,
    });
    await new Promise((resolve) => session.once('remoteSettings', resolve));
    const status = (authority: string) =>
      new Promise((resolve) => {
        const fields = { ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/ws', ':scheme': 'https' };
        const stream = session.request({ ...fields, ':authority': authority, 'sec-websocket-version': '13' });
        stream.once('response', (answer) => {
          resolve(answer[':status']);
          stream.close();
        });
      });
    expect(await status('other.test')).toBe(421);
    expect(await status('first.test')).toBe(200);
    session.destroy();
  });
});

describe('HSTS', () => {
  it('is on every answer over TLS that does not say it itself', async () => {
    const told = async (path: string) =>
      (await get(TLS, path, 'first.test', 'first.test')).fields['strict-transport-security'];
    expect(await told('/seen/a')).toBe(HSTS);
    expect(await told('/nothing')).toBe(HSTS);
    expect(await told('/own')).toBe('max-age=1');
    expect((await get2(TLS, '/seen/a', 'first.test', 'first.test'))['strict-transport-security']).toBe(HSTS);
    expect((await get2(TLS, '/own', 'first.test', 'first.test'))['strict-transport-security']).toBe('max-age=1');
  });

  const tls = { rejectUnauthorized: false, servername: 'first.test' };
  it.each([
    ['by the gateway', '/nothing', 404],
    ['by its server', '/passed', 404],
    ['for its server', '/dead', 502],
  ])('is on the answer to a handshake that is refused %s', async (_, path, status) => {
    const { port } = { port: gateway.ports[TLS] };
    const refusal = await openRefused(`wss://127.0.0.1:${port}${path}`, { ...tls, headers: { Host: 'first.test' } });
    expect([refusal.status, refusal.fields['strict-transport-security']]).toEqual([status, HSTS]);
    const session = http2.connect(`https://127.0.0.1:${port}`, tls);
    await new Promise((resolve) => session.once('remoteSettings', resolve));
    const fields = { ':method': 'CONNECT', ':protocol': 'websocket', ':path': path, ':authority': 'first.test' };
    const stream = session.request({ ...fields, 'sec-websocket-version': '13' });
    const answer = await new Promise<http2.IncomingHttpHeaders>((resolve) => stream.once('response', resolve));
    expect(answer).toMatchObject({ ':status': status, 'strict-transport-security': HSTS });
    session.destroy();
  });

  it('is on the answer to what could not be read', async () => {
    const raw = await connectRaw({ ...tls, tls: true, port: gateway.ports[TLS]!, host: '127.0.0.1' });
    raw.write('GET / HTTP/3.0\r\n\r\n');
    const { status, fields } = readAnswer((await raw.closed()).bytes);
    expect([status, fields.filter(([name]) => name === 'Strict-Transport-Security')]).toEqual([
      400,
      [['Strict-Transport-Security', HSTS]],
    ]);
  });

  it('is on none of another listener', async () => {
    expect((await get(PLAIN, '/seen/a', 'first.test')).fields['strict-transport-security']).toBeUndefined();
  });
});

describe('behind a PROXY preamble', () => {
  const ask = async (client: string) => {
    const port = gateway.ports[TRUSTING]!;
    const below = connect({ port, host: '127.0.0.2', localAddress: '127.0.0.1' });
    below.write(`PROXY TCP4 ${client} 192.0.2.1 1234 443\r\n`);
    const socket = connectTls({ socket: below, servername: 'first.test', rejectUnauthorized: false });
    let text = '';
    socket.on('data', (chunk) => (text += chunk));
    socket.write('GET /seen/a HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n');
    await new Promise((resolve) => socket.once('close', resolve));
    return Number(text.split(' ')[1]);
  };

  it('the rules hold for the client that it names, and not for a trusted proxy', async () => {
    expect(await ask('192.0.2.7')).toBe(421);
    expect(await ask('192.0.2.9')).toBe(200);
  });
});
