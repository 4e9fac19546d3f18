// `run --demo` as a newcomer meets it: the built gateway with the shipped gateway.yaml, its demo backends, the page, and
// what it says can be tried. Each printed curl is run as it is printed.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LineChild, run, startChild } from '../support/child.ts';
import { openClient } from '../support/client.ts';
import { MAIN } from '../support/gateway.ts';
import { closedPort } from '../support/scripted.ts';

const SHIPPED = fileURLToPath(new URL('../../gateway.yaml', import.meta.url));

async function ports() {
  const names = ['HTTP_PORT', 'HTTPS_PORT', 'ADMIN_PORT', 'WS_PORT', 'REST_PORT'] as const;
  const free = await Promise.all(names.map(() => closedPort()));
  return Object.fromEntries(names.map((name, index) => [name, String(free[index])])) as Record<
    (typeof names)[number],
    string
  >;
}

let env: Awaited<ReturnType<typeof ports>>;
let gateway: LineChild;
beforeAll(async () => {
  env = await ports();
  gateway = await startChild(process.execPath, [MAIN, 'run', '-c', SHIPPED, '--demo'], { env, lines: 'stderr' });
  await gateway.line((line) => (line.startsWith('Ctrl-C stops it') ? line : undefined), 'the hints');
});
// A session that does not answer its Close holds the demo up for a second at most; a gateway would wait for half a minute.
afterAll(async () => {
  const silent = await openClient(`ws://127.0.0.1:${env.HTTP_PORT}/local/echo`);
  silent.socket.pause();
  const asked = performance.now();
  expect(await gateway.stop('SIGINT')).toBe(0);
  expect(performance.now() - asked).toBeLessThan(15_000);
  silent.socket.terminate();
});

const http = (path: string) => `http://127.0.0.1:${env.HTTP_PORT}${path}`;

describe('the shipped config with --demo', () => {
  it('prints commands that work', async () => {
    const curls = gateway.lines.filter((line) => line.startsWith('  curl '));
    expect(curls).toEqual([
      `  curl http://localhost:${env.HTTP_PORT}/`,
      `  curl -k https://localhost:${env.HTTPS_PORT}/`,
      `  curl http://localhost:${env.ADMIN_PORT}/metrics`,
    ]);
    for (const curl of curls) {
      const [command = '', ...args] = curl.trim().split(' ');
      const { code, stdout } = await run(command, ['-sf', '--noproxy', '*', ...args]);
      expect([curl, code]).toEqual([curl, 0]);
      expect(stdout).toMatch(curl.endsWith('/metrics') ? /^gateway_build_info/m : /from the REST backend of the demo/);
    }
    const [explain = ''] = gateway.lines.filter((line) => line.includes(' explain '));
    const words = explain.replace(/^ +(npx )?upgate /, '').split(' ');
    const { stdout } = await run(process.execPath, [MAIN, ...words]);
    expect(stdout).toContain('426');
  });

  it('serves the page, JSON, an echo, and what it received', async () => {
    expect(await (await fetch(http('/api/hello'))).json()).toEqual({ hello: 'world' });
    const echo = await fetch(http('/api/echo'), {
      method: 'POST',
      body: 'hi',
      headers: { 'Content-Type': 'text/x-a' },
    });
    expect([echo.headers.get('content-type'), await echo.text()]).toEqual(['text/x-a', 'hi']);
    const seen = (await (await fetch(http('/api/headers?a=1'))).json()) as { target: string; fields: string[] };
    expect(seen.target).toBe('/api/headers?a=1');
    expect(seen.fields).toContain('X-Forwarded-For: 127.0.0.1');
    expect(seen.fields).toContain(`Host: 127.0.0.1:${env.HTTP_PORT}`);
    const missing = await fetch(http('/nowhere'));
    expect([missing.status, missing.headers.get('content-type')]).toEqual([404, 'application/json']);
    const wrong = await fetch(http('/api/hello'), { method: 'DELETE' });
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    const head = await fetch(http('/'), { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });

  it('sends events as they happen', async () => {
    const abort = new AbortController();
    const response = await fetch(http('/api/events'), { signal: abort.signal });
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    let text = '';
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      if (text.includes('id: 2')) break;
    }
    expect(text).toMatch(/^id: 1\ndata: {"tick":1,"time":"[^"]+"}\n\nid: 2\n/);
    abort.abort();
  });

  it('greets a WebSocket, with compression, and sends back what comes', async () => {
    const client = await openClient(`ws://127.0.0.1:${env.HTTP_PORT}/ws/echo`);
    expect(client.socket.extensions).toContain('permessage-deflate');
    expect(await client.next()).toBe(
      `hello world, from the demo backend at 127.0.0.1:${env.WS_PORT}/ws/echo; what you send comes back`,
    );
    client.socket.send('x'.repeat(100_000));
    expect(await client.next()).toBe('x'.repeat(100_000));
    client.socket.send(Buffer.of(0, 255));
    expect(await client.next()).toEqual(Buffer.of(0, 255));
    expect((await client.close(1000)).code).toBe(1000);
  });

  it('has a chat over both listeners, where each sees what the others say', async () => {
    const one = await openClient(`ws://127.0.0.1:${env.HTTP_PORT}/ws/chat`);
    expect(await one.next()).toContain('(nobody else now)');
    const two = await openClient(`wss://localhost:${env.HTTPS_PORT}/ws/chat`, { rejectUnauthorized: false });
    expect(await two.next()).toContain('(1 more now)');
    const elsewhere = await openClient(`ws://127.0.0.1:${env.HTTP_PORT}/ws/other/chat`);
    expect(await elsewhere.next()).toContain('(nobody else now)');
    two.socket.send('from two');
    expect([await one.next(), await two.next()]).toEqual(['from two', 'from two']);
    elsewhere.socket.send('alone');
    expect(await elsewhere.next()).toBe('alone');
    await elsewhere.close();
    expect(one.messages).toHaveLength(2);
    await two.close();
    one.socket.send('alone now');
    expect(await one.next()).toBe('alone now');
    await one.close();
  });

  it('has a room of the gateway itself, in which the two commands it prints meet', async () => {
    const urls = gateway.lines.flatMap((line) => /npx wscat -c (ws:\S+\/rooms\/\S+)/.exec(line)?.[1] ?? []);
    expect(urls.map((url) => new URL(url).pathname)).toEqual(['/rooms/tea/alice', '/rooms/tea/bob']);
    const [alice, bob] = await Promise.all(urls.map((url) => openClient(url.replace('localhost', '127.0.0.1'))));
    alice?.socket.send('tea?');
    expect(await bob?.next()).toBe('alice: tea?');
    await Promise.all([alice?.close(), bob?.close()]);
  });

  it('lives on when a client breaks the protocol', async () => {
    const client = await openClient(`ws://127.0.0.1:${env.HTTP_PORT}/ws/echo`);
    await client.next();
    // A frame with reserved bits and an opcode that does not exist.
    (client.socket as unknown as { _socket: { write(bytes: Buffer): void } })._socket.write(
      Buffer.of(0xfb, 0x80, 0, 0, 0, 0),
    );
    expect((await client.closed).code).toBe(1002);
    expect((await fetch(http('/'))).status).toBe(200);
  });
});

describe('a demo port that is taken', () => {
  it('ends the start with the address, and what to do', async () => {
    const taken = createServer();
    await once(taken.listen(0, '127.0.0.1'), 'listening');
    const { port } = taken.address() as AddressInfo;
    const other = { ...(await ports()), REST_PORT: String(port) };
    const child = await startChild(process.execPath, [MAIN, 'run', '-c', SHIPPED, '--demo'], { env: other });
    expect(await child.exited).toBe(1);
    taken.close();
    const text = child.stderr();
    expect(text).toContain(`The demo backend cannot listen on 127.0.0.1:${port}: the port is taken (EADDRINUSE).`);
    expect(text).toContain(`ss -ltnp 'sport = :${port}'`);
    expect(text).toContain('WS_PORT=9101 REST_PORT=9102 npm start');
  });
});

it('ends at SIGHUP, which a terminal sends when it is closed', async () => {
  const args = [MAIN, 'run', '-c', SHIPPED, '--demo'];
  const demo = await startChild(process.execPath, args, { env: await ports(), lines: 'stderr' });
  await demo.line((line) => (line.startsWith('Ctrl-C stops it') ? line : undefined), 'the hints');
  demo.signal('SIGHUP');
  expect(await demo.exited).toBe(0);
});
