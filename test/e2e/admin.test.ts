// The admin listener over real connections: what Prometheus, an orchestrator, and somebody who means no good send it.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type Admin, type AdminOptions, createAdmin } from '../../src/admin/admin.ts';
import { createMetrics } from '../../src/observe/metrics.ts';
import { connectRaw, exchange, readAnswer } from '../support/raw.ts';

const admins: Admin[] = [];
afterEach(async () => {
  for (const admin of admins.splice(0)) await admin.close();
});

const NOTHING: AdminOptions = {
  render: async () => ({ contentType: '', body: '' }),
  ready: () => true,
  degraded: () => null,
  api: async () => null,
  pages: new Map(),
  token: () => undefined,
  hosts: () => [],
};

async function start(options: Partial<AdminOptions> = {}) {
  const { render } = createMetrics({ version: '1.2.3', samplers: [] });
  const admin = createAdmin({ ...NOTHING, render, ...options });
  admins.push(admin);
  const { port } = await admin.listen('127.0.0.1', 0);
  return { admin, port, get: (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${port}${path}`, init) };
}

const HEAD = 'Host: localhost\r\nConnection: close\r\n\r\n';

describe('pages', () => {
  it('/metrics is the exposition, never stored', async () => {
    const { get } = await start();
    const answer = await get('/metrics');
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(await answer.text()).toContain('gateway_build_info{version="1.2.3",');
  });

  it('/metrics speaks OpenMetrics to who asks for it', async () => {
    const { get } = await start();
    const answer = await get('/metrics?a=b', { headers: { accept: 'application/openmetrics-text; version=1.0.0' } });
    expect(answer.headers.get('content-type')).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8');
    expect(await answer.text()).toMatch(/# EOF\n$/);
  });

  it('/metrics that can not be made is a 500, and the next one is tried anew', async () => {
    let broken = true;
    const { get } = await start({
      render: async () => {
        if (broken) throw new Error('no numbers');
        return { contentType: 'text/plain', body: 'fine' };
      },
    });
    const first = await get('/metrics');
    expect([first.status, await first.text()]).toEqual([500, 'no numbers\n']);
    broken = false;
    expect((await get('/metrics')).status).toBe(200);
  });

  it('/healthz is ok while the process lives, /readyz while traffic is welcome, else it says why not', async () => {
    let ready: boolean | string = 'starting';
    const { get } = await start({ ready: () => ready });
    const ask = async (path: string) => {
      const answer = await get(path);
      return [answer.status, await answer.text()];
    };
    expect(await ask('/readyz')).toEqual([503, 'starting\n']);
    ready = true;
    expect(await ask('/readyz')).toEqual([200, 'ok\n']);
    ready = false;
    expect(await ask('/readyz')).toEqual([503, 'not ready\n']);
    expect(await ask('/healthz')).toEqual([200, 'ok\n']);
  });

  it('HEAD gets the head of what GET gets', async () => {
    const { get, port } = await start();
    const body = await (await get('/healthz')).text();
    const answer = readAnswer(await exchange(port, `HEAD /healthz HTTP/1.1\r\n${HEAD}`));
    const fields = new Map(answer.fields.map(([name, value]) => [name.toLowerCase(), value]));
    expect([answer.status, fields.get('content-length'), answer.body]).toEqual([200, String(body.length), '']);
  });

  it.each(['/', '/metrics/', '/Metrics', '//metrics', '/healthz%20', '/__proto__', '*', 'http://x/metrics'])(
    '%s is 404',
    async (target) => {
      const { port } = await start();
      const answer = readAnswer(await exchange(port, `GET ${target} HTTP/1.1\r\n${HEAD}`));
      expect(answer.status).toBe(404);
    },
  );

  it.each(['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])('%s is 405 with Allow', async (method) => {
    const { port } = await start();
    const answer = readAnswer(
      await exchange(port, `${method} /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi`),
    );
    expect(answer.status).toBe(405);
    expect(answer.fields).toContainEqual(['Allow', 'GET, HEAD']);
    expect(answer.fields).toContainEqual(['Connection', 'close']);
  });

  it('a connection serves one scrape after the other', async () => {
    const { port } = await start();
    const connection = await connectRaw(port);
    for (let count = 1; count <= 3; count++) {
      connection.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
      await connection.until((bytes) => bytes.toString().split('ok\n').length === count + 1);
    }
    connection.socket.destroy();
  });
});

describe('what means no good', () => {
  it.each([
    ['no HTTP', 'garbage\r\n\r\n'],
    ['no Host', 'GET /metrics HTTP/1.1\r\n\r\n'],
    ['both lengths', `POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`],
    ['a huge head', `GET /metrics HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`],
    ['a TLS hello', Buffer.from('16030100a5010000a1030352362c10', 'hex')],
  ])('%s is refused, and the next one served', async (_, bytes) => {
    const { port, get } = await start();
    expect(readAnswer(await exchange(port, bytes)).status).toBe(400);
    expect((await get('/healthz')).status).toBe(200);
  });

  it('an upgrade is a request like any other', async () => {
    const { port } = await start();
    const upgrade = 'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
    const connection = await connectRaw(port);
    connection.write(upgrade);
    expect((await connection.until('ok\n')).toString()).toMatch(/^HTTP\/1\.1 200 /);
    connection.socket.destroy();
  });

  it('CONNECT gets nothing', async () => {
    const { port, get } = await start();
    expect(await exchange(port, 'CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n')).toHaveLength(0);
    expect((await get('/healthz')).status).toBe(200);
  });

  it('a client that leaves while its metrics are made takes nothing down', async () => {
    let asked = () => {};
    const rendering = new Promise<void>((resolve) => {
      asked = resolve;
    });
    let finish = () => {};
    const { port, get } = await start({
      render: () => {
        asked();
        return new Promise((resolve) => {
          finish = () => resolve({ contentType: 'text/plain', body: 'x'.repeat(1_000_000) });
        });
      },
    });
    const connection = await connectRaw(port);
    connection.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n');
    await rendering;
    connection.reset();
    await once(connection.socket, 'close');
    finish();
    expect((await get('/healthz')).status).toBe(200);
  });
});

describe('its life', () => {
  it('an address in use rejects with the system error', async () => {
    const other = createServer();
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    const admin = createAdmin(NOTHING);
    await expect(admin.listen('127.0.0.1', port)).rejects.toMatchObject({ code: 'EADDRINUSE', port });
    await admin.close();
    other.close();
  });

  it('close() ends idle connections at once and lets an answer under way finish', async () => {
    let finish = () => {};
    let asked = () => {};
    const rendering = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const { admin, port } = await start({
      render: () => {
        asked();
        return new Promise((resolve) => {
          finish = () => resolve({ contentType: 'text/plain', body: 'whole' });
        });
      },
    });
    const idle = await connectRaw(port);
    idle.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
    await idle.until('ok\n');
    const busy = await connectRaw(port);
    busy.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n');
    await rendering;
    const closed = admin.close();
    expect((await idle.closed()).how).toBe('fin');
    finish();
    expect((await busy.closed()).bytes.toString()).toMatch(/whole$/);
    for (const { socket } of [idle, busy]) socket.destroy();
    await closed;
  });

  it('close() cuts what does not end', async () => {
    const { admin, port } = await start({ render: () => new Promise(() => {}) });
    const stuck = await connectRaw(port);
    stuck.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n');
    await admin.close();
    await stuck.closed();
    stuck.socket.destroy();
  });

  it('close() of what never listened is no error', async () => {
    const admin = createAdmin(NOTHING);
    await expect(admin.close()).resolves.toBeUndefined();
  });
});
