// Plain HTTP through the built gateway to tornado: bodies streamed both ways, Server-Sent Events to curl and to a browser,
// tornado's own errors; and beside nginx, as a proxy for the same server and as one in front of the gateway.
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openBrowser } from '../../support/browser.ts';
import { type LineChild, run, startChild } from '../../support/child.ts';
import { type Gateway, startGateway } from '../../support/gateway.ts';
import { type Nginx, startNginx } from '../../support/nginx.ts';
import { hasPeers, type PythonServer, startPython } from '../../support/peers.ts';
import { connectRaw, exchange, readAnswer } from '../../support/raw.ts';

const sha256 = (data: Buffer) => createHash('sha256').update(data).digest('hex');
const BODY = randomBytes(5_000_000);

describe.each(['auto', 'http-proxy'] as const)('by %s', (engine) => {
  describe.skipIf(!hasPeers('python3-tornado', 'curl'))('tornado', () => {
    const directory = mkdtempSync(join(tmpdir(), 'upgate-tornado-'));
    const file = join(directory, 'body');
    let tornado: PythonServer;
    let gateway: Gateway;
    let nginx: Nginx | undefined;

    beforeAll(async () => {
      writeFileSync(file, BODY);
      tornado = await startPython('tornado_rest.py');
      gateway = await startGateway({
        listeners: [{ host: '127.0.0.1', port: 0 }],
        http: { engine },
        trusted_proxies: ['127.0.0.1'],
        upstreams: { rest: { servers: [`http://127.0.0.1:${tornado.port}`] } },
        routes: [{ name: 'rest', http: { upstream: 'rest' } }],
      });
    });

    const children: LineChild[] = [];
    afterEach(async () => {
      await Promise.all(children.splice(0).map((child) => child.stop('SIGKILL')));
    });

    afterAll(async () => {
      await nginx?.stop();
      await gateway?.stop('SIGKILL');
      await tornado?.stop('SIGKILL');
      rmSync(directory, { recursive: true, force: true });
    });

    const url = (path: string) => `http://127.0.0.1:${gateway.port}${path}`;
    const curl = (...args: string[]) => run('curl', ['-sS', '--max-time', '20', ...args]);
    const say = async (text: string) => void (await curl('-X', 'POST', '-d', text, url('/say')));
    const listen = async () => {
      const child = await startChild('curl', ['-sS', '-N', '-i', url('/events?who=curl')]);
      children.push(child);
      return child;
    };
    const line = (text: string) => (given: string) => (given.trim() === text ? true : undefined);

    it.each([
      ['with a length', [], null],
      ['in chunks', ['-H', 'Transfer-Encoding: chunked'], 'chunked'],
      ['behind a 100', ['-H', 'Expect: 100-continue'], null],
    ])('an upload %s comes whole', async (_, args, coding) => {
      const { stdout } = await curl('-T', file, ...args, url('/upload'));
      expect(JSON.parse(stdout)).toEqual({ length: BODY.length, sha256: sha256(BODY), coding });
    });

    it('each part of a body is answered before the next is sent', async () => {
      const { write, until, socket } = await connectRaw(gateway.port);
      write('POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
      for (const part of ['one', 'second', 'the last']) {
        write(`${part.length.toString(16)}\r\n${part}\r\n`);
        await until(part);
      }
      write('0\r\n\r\n');
      await until('\r\n0\r\n\r\n');
      socket.destroy();
    });

    it('an upload that its client gives up is over for the server too', async () => {
      const { write, socket } = await connectRaw(gateway.port);
      write(`PUT /upload?gone HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n${'x'.repeat(10)}`);
      await tornado.event({ event: 'begun', uri: '/upload?gone' });
      socket.destroy();
      await tornado.event({ event: 'upload gone' });
    });

    it('its errors are its own', async () => {
      const ask = async (path: string, method = 'GET') =>
        readAnswer(await exchange(gateway.port, `${method} ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`));
      const teapot = await ask('/broken/teapot');
      expect(teapot).toMatchObject({ status: 418, statusLine: 'HTTP/1.1 418 Short and stout' });
      expect(teapot.body).toContain('<title>418: Short and stout</title>');
      for (const [path, method, status] of [
        ['/broken/x', 'GET', 500],
        ['/none', 'GET', 404],
        ['/page', 'DELETE', 405],
      ] as const) {
        const answer = await ask(path, method);
        const names = answer.fields.map(([name]) => name);
        expect([answer.status, names.includes('X-Gateway-Reason')]).toEqual([status, false]);
        expect(answer.fields).toContainEqual(['Server', expect.stringMatching(/^TornadoServer/)]);
      }
    });

    it('half an answer never looks whole', async () => {
      const { code } = await curl(url('/broken/half'));
      // CURLE_PARTIAL_FILE, or the connection was cut.
      expect([18, 56]).toContain(code);
    });

    it('a condition is its own to judge, and HEAD has the fields of GET', async () => {
      const { stdout } = await curl('-i', url('/page'));
      const etag = /\r\netag: (.*)\r\n/i.exec(stdout)?.[1] ?? '';
      expect((await curl('-i', '-H', `If-None-Match: ${etag}`, url('/page'))).stdout).toMatch(/^HTTP\/1\.1 304 /);
      expect((await curl('-I', url('/page'))).stdout).toMatch(/^HTTP\/1\.1 405 /);
    });

    it('the head of a stream of events comes before any event', async () => {
      const { write, until, socket } = await connectRaw(gateway.port);
      write('GET /events?who=raw HTTP/1.1\r\nHost: a\r\n\r\n');
      await until('Content-Type: text/event-stream\r\n');
      socket.destroy();
    });

    it('curl -N has each event before the next is said, and takes its request along when it goes', async () => {
      const child = await listen();
      await tornado.event({ event: 'listening', who: 'curl' });
      for (const text of ['a', 'b', 'c']) {
        await say(text);
        await child.line(line(`data: ${text}`), `the event ${text}`);
      }
      await child.stop('SIGKILL');
      await tornado.event({ event: 'listener gone', who: 'curl' });
    });

    describe.skipIf(!hasPeers('chromium'))('in a browser', () => {
      it('an EventSource has each event as it is said, and comes back with its last id', async () => {
        const browser = await openBrowser();
        try {
          const page = await browser.newPage();
          await page.goto(url('/page'));
          await page.evaluate(
            `window.got = []; new EventSource('/events?who=browser').onmessage = (e) => got.push(e.data);`,
          );
          const has = (got: string) => page.waitForFunction(`got.join() === '${got}'`);
          await tornado.event({ event: 'listening', who: 'browser', last: null });
          await say('y');
          await has('y');
          await say('z');
          await has('y,z');
          // The server ends the stream; the browser asks for it again.
          await say('');
          await tornado.event({ event: 'listening', who: 'browser', last: 'z' });
          await say('later');
          await has('y,z,later');
        } finally {
          await browser.close();
        }
      });
    });

    describe.skipIf(!hasPeers('nginx'))('beside nginx', () => {
      const startFront = async () => {
        const proxy = 'proxy_http_version 1.1; proxy_set_header Connection ""; client_max_body_size 10m;';
        const known = 'proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header Host $http_host;';
        nginx ??= await startNginx(
          directory,
          (port) => `server {
            listen 127.0.0.1:${port}; ${proxy}
            location / { proxy_pass http://127.0.0.1:${tornado.port}; }
            location /front/ { ${known} proxy_pass http://127.0.0.1:${gateway.port}/; }
          }`,
        );
        return nginx.port;
      };

      it('the same answers as by nginx', async () => {
        const port = await startFront();
        const lines = [
          'GET /page HTTP/1.1',
          'HEAD /page HTTP/1.1',
          'GET /broken/teapot HTTP/1.1',
          'GET /none HTTP/1.1',
          'OPTIONS /page HTTP/1.1',
          'GET /page HTTP/1.0',
          'POST /echo HTTP/1.1\r\nContent-Length: 3',
          'PUT /upload HTTP/1.1\r\nContent-Length: 3',
        ];
        for (const start of lines) {
          const body = start.includes('Content-Length') ? 'abc' : '';
          const by = async (of: number) => {
            const text = await exchange(of, `${start}\r\nHost: a\r\nConnection: close\r\n\r\n${body}`);
            const { status, fields, body: answered } = readAnswer(text);
            const told = fields.filter(([name]) => /^(content-type|etag|content-length)$/i.test(name));
            return { start, status, told: told.map(([name, value]) => [name.toLowerCase(), value]).sort(), answered };
          };
          expect(await by(gateway.port)).toEqual(await by(port));
        }
      });

      it('nginx in front says who asks; what the client says of itself in Forwarded is not believed', async () => {
        const port = await startFront();
        const lies = ['-H', 'Forwarded: for=6.6.6.6;proto=https', '-H', 'X-Forwarded-For: 7.7.7.7'];
        const asked = await curl(...lies, `http://127.0.0.1:${port}/front/seen`);
        const seen = JSON.parse(asked.stdout) as Record<string, string[]>;
        expect(seen['X-Forwarded-For']).toEqual(['7.7.7.7, 127.0.0.1, 127.0.0.1']);
        expect(seen['X-Forwarded-Proto']).toEqual(['http']);
        const [id] = seen['X-Request-Id'] ?? [];
        expect(await gateway.log({ event: 'request_completed', id: String(id) })).toMatchObject({ client: '7.7.7.7' });
      });
    });
  });
});
