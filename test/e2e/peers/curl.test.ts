// Plain HTTP through the built gateway, asked by curl: over IPv4, TLS and a unix socket, in HTTP/1.1 and 1.0.
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../support/child.ts';
import { type Gateway, startGateway } from '../../support/gateway.ts';
import { hasPeers } from '../../support/peers.ts';
import { type RestServer, type Seen, startRest } from '../../support/rest.ts';

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex');

describe.skipIf(!hasPeers('curl'))('curl', () => {
  const directory = mkdtempSync(join(tmpdir(), 'upgate-curl-'));
  const socket = join(directory, 'gateway.sock');
  let rest: RestServer;
  let gateway: Gateway;
  let url: string;

  beforeAll(async () => {
    rest = await startRest();
    gateway = await startGateway({
      listeners: [
        { host: '127.0.0.1', port: 0 },
        { host: '127.0.0.1', port: 0, tls: { self_signed: ['localhost'] } },
        { unix: socket },
      ],
      upstreams: { rest: { servers: [`http://127.0.0.1:${rest.port}`] } },
      routes: [
        { name: 'ws', match: { path: '/ws' }, websocket: { mode: 'terminate', handler: 'echo' } },
        { name: 'api', match: { host: '127.0.0.1', path: '/*' }, http: { upstream: 'rest' } },
        { name: 'local', match: { host: 'localhost', path: '/*' }, http: { upstream: 'rest' } },
      ],
    });
    url = `http://127.0.0.1:${gateway.port}`;
  });

  afterAll(async () => {
    await gateway?.stop('SIGKILL');
    rest?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  /** Runs curl, and gives its output, the head of the answer apart. */
  const curl = async (...args: string[]) => {
    const heads = join(directory, 'heads');
    const { code, stdout, stderr } = await run('curl', ['-sS', '--max-time', '20', '-D', heads, ...args]);
    const lines = readFileSync(heads, 'latin1').trim().split('\r\n');
    return { code, body: stdout, stderr, statusLine: lines[0], heads: lines, seen: () => JSON.parse(stdout) as Seen };
  };
  const fieldsOf = (seen: Seen, name: string) =>
    seen.rawHeaders.filter((_, i) => i % 2 === 1 && seen.rawHeaders[i - 1]!.toLowerCase() === name);

  it('GET: the target as it was written, Host kept, forwarding fields set', async () => {
    const answer = await curl(`${url}/seen/a%2Fb;c//d?token=x&y=%20`, '-H', 'X-Forwarded-For: 6.6.6.6');
    expect([answer.code, answer.statusLine]).toEqual([0, 'HTTP/1.1 200 OK']);
    const seen = answer.seen();
    expect(seen).toMatchObject({
      method: 'GET',
      target: '/seen/a%2Fb;c//d?token=x&y=%20',
      httpVersion: '1.1',
      length: 0,
    });
    expect(fieldsOf(seen, 'host')).toEqual([`127.0.0.1:${gateway.port}`]);
    expect(fieldsOf(seen, 'x-forwarded-for')).toEqual(['127.0.0.1']);
    expect(fieldsOf(seen, 'x-forwarded-proto')).toEqual(['http']);
    expect(fieldsOf(seen, 'x-request-id')).toEqual([expect.stringMatching(/^[A-Za-z0-9._-]{8,128}$/)]);
  });

  it('POST with a length, and POST in chunks, reach the backend whole', async () => {
    const form = await curl(`${url}/seen`, '-d', 'a=1&b=2');
    expect(form.seen()).toMatchObject({ method: 'POST', length: 7, sha256: sha256('a=1&b=2') });
    const file = join(directory, 'body');
    writeFileSync(file, randomBytes(3 << 20));
    // Over 1 MiB curl asks first, with Expect: 100-continue.
    const upload = [`${url}/seen`, '-H', 'Content-Type: application/octet-stream', '--data-binary', `@${file}`];
    const counted = await curl(...upload);
    const chunked = await curl(...upload, '-H', 'Transfer-Encoding: chunked');
    for (const answer of [counted, chunked]) {
      expect(answer.seen()).toMatchObject({ method: 'POST', length: 3 << 20, sha256: sha256(readFileSync(file)) });
    }
    expect(fieldsOf(chunked.seen(), 'transfer-encoding')).toEqual(['chunked']);
  });

  it.each(['PUT', 'PATCH', 'DELETE', 'OPTIONS'])('%s with a chunked body keeps its framing', async (method) => {
    const answer = await curl(`${url}/seen`, '-X', method, '-H', 'Transfer-Encoding: chunked', '-d', 'payload');
    expect(answer.seen()).toMatchObject({ method, length: 7, sha256: sha256('payload') });
  });

  it('a large body both ways at once', async () => {
    const file = join(directory, 'large');
    const out = join(directory, 'out');
    writeFileSync(file, randomBytes(24 << 20));
    const answer = await curl(`${url}/mirror`, '-T', file, '-o', out);
    expect(answer.code).toBe(0);
    expect(sha256(readFileSync(out))).toBe(sha256(readFileSync(file)));
  });

  it('HEAD has the length of GET and no body', async () => {
    const answer = await curl('-I', `${url}/seen`);
    expect(answer.code).toBe(0);
    expect(answer.statusLine).toBe('HTTP/1.1 200 OK');
    expect(answer.heads.find((line) => /^content-length: [1-9]\d*$/i.test(line))).toBeDefined();
  });

  it('a chunked answer comes in chunks to 1.1, with its trailer, and until the end to 1.0', async () => {
    const modern = await curl(`${url}/chunked`);
    expect(modern.body).toBe('one two three');
    expect(modern.heads).toContainEqual(expect.stringMatching(/^transfer-encoding: chunked$/i));
    expect(modern.heads).toContainEqual(expect.stringMatching(/^x-sum: 3$/i));
    const old = await curl('--http1.0', `${url}/chunked`);
    expect([old.code, old.body]).toEqual([0, 'one two three']);
    expect(old.heads.filter((line) => /^transfer-encoding:/i.test(line))).toEqual([]);
  });

  it('204 has no body and 404 is the backend’s own', async () => {
    expect((await curl(`${url}/empty`)).statusLine).toBe('HTTP/1.1 204 No Content');
    const missing = await curl(`${url}/missing`);
    expect([missing.statusLine, missing.body]).toEqual(['HTTP/1.1 404 Not Found', 'nothing here\n']);
    expect(missing.heads.filter((line) => /^x-gateway-reason:/i.test(line))).toEqual([]);
  });

  it('two requests use one connection', async () => {
    const counted = ['-w', '%{num_connects}', '-o', join(directory, 'ignored')];
    expect((await curl(`${url}/seen`, ...counted, '--next', '-sS', ...counted, `${url}/seen`)).body).toBe('10');
  });

  it('a host without a route is our 404; a websocket route is our 426', async () => {
    const lost = await curl(`${url}/`, '-H', 'Host: elsewhere.test');
    expect(lost.statusLine).toBe('HTTP/1.1 404 Not Found');
    expect(lost.heads).toContain('X-Gateway-Reason: no_route');
    const plain = await curl(`${url}/ws`, '-H', 'Host: elsewhere.test');
    expect(plain.statusLine).toBe('HTTP/1.1 426 Upgrade Required');
    expect(plain.heads).toContain('X-Gateway-Reason: upgrade_required');
  });

  it('an offer of h2c goes on as plain HTTP, without the offer', async () => {
    const answer = await curl('--http2', `${url}/seen`);
    expect([answer.code, answer.heads.filter((line) => line.startsWith('HTTP/'))]).toEqual([0, ['HTTP/1.1 200 OK']]);
    const seen = answer.seen();
    expect([fieldsOf(seen, 'upgrade'), fieldsOf(seen, 'http2-settings')]).toEqual([[], []]);
  });

  it('speaks TLS with its own certificate, and tells the backend so', async () => {
    const answer = await curl(
      '-k',
      `https://localhost:${gateway.ports[1]}/seen`,
      '--resolve',
      `localhost:${gateway.ports[1]}:127.0.0.1`,
    );
    // By ALPN, with a curl that speaks it.
    expect(answer.statusLine).toMatch(/^HTTP\/(1\.1 200 OK|2 200 )$/);
    expect(fieldsOf(answer.seen(), 'x-forwarded-proto')).toEqual(['https']);
    const wary = await curl(
      `https://localhost:${gateway.ports[1]}/seen`,
      '--resolve',
      `localhost:${gateway.ports[1]}:127.0.0.1`,
    );
    expect(wary.code).toBe(60);
  });

  it('is reached by a unix socket', async () => {
    const answer = await curl('--unix-socket', socket, 'http://localhost/seen');
    expect(answer.seen()).toMatchObject({ method: 'GET', target: '/seen' });
  });

  it('counts by method and status', async () => {
    const labels = { route: 'api', method: 'DELETE', code: '200' };
    expect(await gateway.metric('http_requests_total', labels)).toBe(1);
    expect(await gateway.metric('http_requests_total', { ...labels, method: 'GET', code: '404' })).toBe(1);
    expect(await gateway.metric('http_requests_total', { route: 'none', method: 'GET', code: '404' })).toBe(1);
  });
});
