// Pages of real browsers whose connection is HTTP/2: fetches and WebSockets share it (RFC 8441), a drain closes them in
// order, and a page opens them anew. What a client that is no browser may do is http2-websocket.test.ts.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openBrowser } from '../support/browser.ts';
import { type EchoServer, startEcho } from '../support/echo.ts';
import { openFirefox } from '../support/firefox.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { http2Config } from '../support/http2-config.ts';
import { hasPeers, type PeerName } from '../support/peers.ts';
import { type RestServer, startRest } from '../support/rest.ts';

/** What every script may use. */
const HELPERS = `
const open = (path) => new Promise((resolve, fail) => {
  const socket = new WebSocket('wss://' + location.host + path);
  socket.said = [];
  socket.closed = new Promise((done) => { socket.onclose = ({ code, reason }) => done([code, reason]); });
  socket.onmessage = ({ data }) => socket.said.push(data);
  socket.onopen = () => resolve(socket);
  socket.onerror = () => fail(new Error('no socket at ' + path));
});
const heard = (socket, count) => new Promise((resolve) => {
  const look = () => socket.said.length >= count ? resolve(socket.said) : setTimeout(look, 5);
  look();
});
const say = (socket, message) => { socket.send(message); return heard(socket, socket.said.length + 1); };
`;

interface Page {
  open(url: string): Promise<void>;
  /** Runs the body of an async function in the page. */
  run<T>(body: string): Promise<T>;
  screenshot(): Promise<Buffer>;
  close(): Promise<void>;
}

async function openChromium(): Promise<Page> {
  const browser = await openBrowser();
  const page = await browser.newPage({ ignoreHTTPSErrors: true });
  return {
    open: async (url) => void (await page.goto(url)),
    run: (body) => page.evaluate(`(async () => { ${HELPERS} ${body} })()`),
    screenshot: () => page.screenshot(),
    close: () => browser.close(),
  };
}

async function openFirefoxPage(): Promise<Page> {
  const firefox = await openFirefox();
  return { ...firefox, run: (body) => firefox.run(HELPERS + body) };
}

const BROWSERS: [name: string, peer: PeerName, start: () => Promise<Page>][] = [
  ['Chromium', 'chromium', openChromium],
  ['Firefox', 'firefox-esr', openFirefoxPage],
];

let echo: EchoServer;
let rest: RestServer;
let gateway: Gateway;

const config = (port = 0) => http2Config({ echo, rest, port, maxStreams: 10 });

beforeAll(async () => {
  echo = await startEcho();
  rest = await startRest();
  gateway = await startGateway(config());
});
afterAll(async () => {
  expect(await gateway?.stop()).toBe(0);
  echo?.close();
  rest?.close();
});

/** By which protocols sockets of a route were opened, as the log has them so far. */
const opened = (of: Gateway, route: string) =>
  of
    .logs()
    .flatMap((line) => (line['event'] === 'session_opened' && line['route'] === route ? [line['protocol']] : []));

describe.each(BROWSERS)('in %s', (_name, peer, start) => {
  const here = hasPeers(peer);
  let page: Page;
  beforeAll(async () => {
    if (here) page = await start();
  }, 150_000);
  afterAll(() => page?.close());

  it.skipIf(!here)(
    'a page, its fetches and thirty sockets share a connection, though ten streams may be open',
    async () => {
      const before = opened(gateway, 'splice').length;
      await page.open(`https://localhost:${gateway.port}/page`);
      // Chromium opens its first socket beside a connection that it does not know yet.
      await page.run("await fetch('/seen/warm'); return null");
      const sessions = await gateway.metric('http2_sessions');
      const result = await page.run(`
      const sockets = await Promise.all(Array.from({ length: 30 }, (_, i) => open(i % 2 === 0 ? '/splice' : '/echo')));
      const answers = await Promise.all(sockets.map((socket, i) => say(socket, 'message ' + i)));
      const fetches = await Promise.all(Array.from({ length: 20 }, (_, i) => fetch('/seen/' + i).then((res) => res.status)));
      const refused = await open('/strict').then(() => 'opened', () => 'refused');
      for (const socket of sockets) socket.close(4000, 'done');
      return [answers.flat(), fetches, refused, await Promise.all(sockets.map((socket) => socket.closed))];
    `);
      expect(result).toEqual([
        Array.from({ length: 30 }, (_, i) => `message ${i}`),
        Array.from({ length: 20 }, () => 200),
        'refused',
        Array.from({ length: 30 }, () => [4000, 'done']),
      ]);
      await expect.poll(() => opened(gateway, 'splice').slice(before)).toEqual(Array.from({ length: 15 }, () => '2'));
      expect(await gateway.metric('http2_sessions')).toBeLessThanOrEqual((sessions ?? 0) + 1);
      // As a picture it is a page, and not a warning about a certificate.
      expect((await page.screenshot()).length).toBeGreaterThan(1000);
      expect(await page.run('return document.title')).toBe('page');
    },
  );

  it.skipIf(!here)('two sockets of a room hear each other', async () => {
    await page.open(`https://localhost:${gateway.port}/page`);
    const heard = await page.run(`
      const [one, two] = await Promise.all([open('/room/lobby'), open('/room/lobby')]);
      one.send('hello');
      const said = await heard(two, 1);
      one.close(); two.close();
      return said.length;
    `);
    expect(heard).toBeGreaterThanOrEqual(1);
  });

  it.skipIf(!here)('sockets are opened by HTTP/1.1 where the listener does not offer them', async () => {
    const before = opened(gateway, 'splice').length;
    await page.open(`https://localhost:${gateway.ports[1]}/page`);
    expect(await page.run("return say(await open('/splice'), 'hello')")).toEqual(['hello']);
    await expect.poll(() => opened(gateway, 'splice').slice(before)).toEqual(['1.1']);
  });

  it.skipIf(!here)('a drain closes the sockets in order, and the page opens them anew', async () => {
    const first = await startGateway(config());
    await page.open(`https://localhost:${first.port}/page`);
    await page.run(`
      await fetch('/seen/warm');
      window.sockets = await Promise.all(['/splice', '/echo', '/splice'].map(open));
      await Promise.all(window.sockets.map((socket) => say(socket, 'live')));
      return null;
    `);
    await expect.poll(() => opened(first, 'splice')).toEqual(['2', '2']);
    first.signal('SIGTERM');
    const closed = await page.run(
      'return Promise.all(window.sockets.map((socket) => socket.closed.then(([code]) => code)))',
    );
    expect(closed).toEqual([1001, 1001, 1001]);
    expect(await first.exited).toBe(0);
    const second = await startGateway(config(first.port));
    const again = await page.run(`
      for (;;) {
        try { return await say(await open('/splice'), 'again'); } catch { await new Promise((next) => setTimeout(next, 50)); }
      }
    `);
    expect(again).toEqual(['again']);
    await page.run('return null');
    await second.stop('SIGKILL');
  });
});
