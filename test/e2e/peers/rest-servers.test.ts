// Plain HTTP through the built gateway to real REST servers: nginx, and Python's http.server, which speaks HTTP/1.0.
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run, startChild } from '../../support/child.ts';
import { type Gateway, startGateway } from '../../support/gateway.ts';
import { type Nginx, startNginx } from '../../support/nginx.ts';
import { hasPeers } from '../../support/peers.ts';
import { exchange, readAnswer } from '../../support/raw.ts';

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex');
const BIG = randomBytes(3_000_000);

describe.each(['auto', 'http-proxy'] as const)('by %s', (engine) => {
  describe.skipIf(!hasPeers('nginx', 'python3', 'curl'))('REST servers', () => {
    const directory = mkdtempSync(join(tmpdir(), 'upgate-rest-'));
    let nginx: Nginx;
    let python: Awaited<ReturnType<typeof startChild>>;
    let gateway: Gateway;

    beforeAll(async () => {
      mkdirSync(join(directory, 'www'));
      mkdirSync(join(directory, 'up'));
      writeFileSync(join(directory, 'www', 'big.bin'), BIG);
      writeFileSync(join(directory, 'www', 'page.txt'), 'hello '.repeat(2000));
      nginx = await startNginx(
        directory,
        (port) => `server {
          listen 127.0.0.1:${port}; root ${directory}/www; gzip on; gzip_types text/plain; types { text/plain txt; }
          location /upload { dav_methods PUT; client_max_body_size 1m; alias ${directory}/up; }
          location /away { return 302 /page.txt; }
        }`,
      );
      python = await startChild('/usr/bin/python3', [
        ...['-u', '-m', 'http.server', '--bind', '127.0.0.1', '--directory', join(directory, 'www'), '0'],
      ]);
      const port = await python.line((line) => / port (\d+) /.exec(line)?.[1], 'its port');
      gateway = await startGateway({
        listeners: [{ host: '127.0.0.1', port: 0 }],
        http: { engine },
        upstreams: {
          nginx: { servers: [`http://127.0.0.1:${nginx.port}`] },
          python: { servers: [`http://127.0.0.1:${port}`] },
        },
        routes: [
          { name: 'python', match: { path: '/py/*' }, http: { upstream: 'python' }, rewrite: { prefix: '/' } },
          {
            name: 'nginx',
            match: { path: '/ng/*' },
            http: { upstream: 'nginx' },
            rewrite: { prefix: '/', host: 'upstream' },
          },
        ],
      });
    });

    afterAll(async () => {
      await gateway?.stop('SIGKILL');
      await python?.stop('SIGKILL');
      await nginx?.stop();
      rmSync(directory, { recursive: true, force: true });
    });

    const curl = (...args: string[]) => run('curl', ['-sS', '--max-time', '20', ...args]);
    const url = (path: string) => `http://127.0.0.1:${gateway.port}${path}`;
    const ask = async (path: string, ...lines: string[]) => {
      const head = [`GET ${path} HTTP/1.1`, 'Host: app.example', 'Connection: close', ...lines, '', ''].join('\r\n');
      const answer = readAnswer(await exchange(gateway.port, head));
      const field = (name: string) => answer.fields.find(([key]) => key.toLowerCase() === name)?.[1];
      return { ...answer, field, bytes: Buffer.from(answer.body, 'latin1') };
    };

    it.each(['/ng/big.bin', '/py/big.bin'])('%s comes whole', async (path) => {
      const { status, bytes } = await ask(path);
      expect([status, bytes.length, sha256(bytes)]).toEqual([200, BIG.length, sha256(BIG)]);
    });

    it('a range is the server’s answer to it', async () => {
      const { status, field, bytes } = await ask('/ng/big.bin', 'Range: bytes=1000000-1000009');
      expect([status, field('content-range')]).toEqual([206, `bytes 1000000-1000009/${BIG.length}`]);
      expect(bytes).toEqual(BIG.subarray(1_000_000, 1_000_010));
      expect(await ask('/ng/big.bin', 'Range: bytes=9999999-')).toMatchObject({ status: 416 });
    });

    it('a condition is too, and a content coding passes untouched', async () => {
      const first = await ask('/ng/page.txt');
      expect(await ask('/ng/page.txt', `If-None-Match: ${first.field('etag')}`)).toMatchObject({
        status: 304,
        body: '',
      });
      const head = 'GET /ng/page.txt HTTP/1.0\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n';
      const coded = readAnswer(await exchange(gateway.port, head));
      expect(coded.fields.map(([name, value]) => `${name}: ${value}`)).toContain('Content-Encoding: gzip');
      expect(gunzipSync(Buffer.from(coded.body, 'latin1')).toString()).toBe('hello '.repeat(2000));
    });

    it('a redirect of a server leads back through the gateway', async () => {
      const { stdout, code } = await curl('-L', url('/ng/away'));
      expect([code, stdout]).toEqual([0, 'hello '.repeat(2000)]);
    });

    it('an upload with Expect: 100-continue, taken or refused before it is sent', async () => {
      const file = join(directory, 'upload');
      writeFileSync(file, 'x'.repeat(500_000));
      const put = (size: number) => {
        writeFileSync(file, 'x'.repeat(size));
        return curl(
          '-o',
          '/dev/null',
          '-w',
          '%{http_code} %{size_upload}',
          '-H',
          'Expect: 100-continue',
          '--expect100-timeout',
          '20',
          '-T',
          file,
          url('/ng/upload/f'),
        );
      };
      expect((await put(500_000)).stdout).toBe('201 500000');
      expect((await put(2_000_000)).stdout).toBe('413 0');
    });

    it('an HTTP/1.0 client of an HTTP/1.0 server', async () => {
      const { stdout, code } = await curl('--http1.0', url('/py/page.txt'));
      expect([code, stdout]).toEqual([0, 'hello '.repeat(2000)]);
    });

    it('many at once lose nothing', async () => {
      const { stdout } = await curl(
        '--parallel',
        '--parallel-max',
        '20',
        '-o',
        '/dev/null',
        '-w',
        '%{http_code}\n',
        url('/ng/page.txt?[1-200]'),
      );
      expect(new Set(stdout.trim().split('\n'))).toEqual(new Set(['200']));
    });
  });
});
