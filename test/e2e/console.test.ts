// The console in a real Chromium: what a person does with it, through the built program.
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket as Client } from 'ws';
import { openBrowser } from '../support/browser.ts';
import { type EchoServer, startEcho } from '../support/echo.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { hasPeers, type PythonServer, startPython } from '../support/peers.ts';

const chromium = hasPeers('chromium');
const python = hasPeers('python3-websockets');

describe.skipIf(!chromium)('the console', () => {
  let browser: Browser;
  let backend: PythonServer | EchoServer;
  let gateway: Gateway;
  const contexts: BrowserContext[] = [];

  beforeAll(async () => {
    backend = python ? await startPython('echo.py') : await startEcho();
    const local = { mode: 'terminate', origins: 'any' } as const;
    gateway = await startGateway({
      listeners: [{ host: '127.0.0.1', port: 0 }],
      upstreams: { app: { servers: [`ws://127.0.0.1:${backend.port}`] } },
      routes: [
        { name: 'echo', match: { path: '/local/echo' }, websocket: { ...local, handler: 'echo' } },
        { name: 'app', match: { path: '/ws/*' }, websocket: { mode: 'splice', upstream: 'app', origins: 'any' } },
        {
          name: 'talk',
          match: { path: '/talk' },
          websocket: { ...local, handler: 'echo', subprotocols: ['chat.v2', 'chat.v1'] },
        },
        {
          name: 'strict',
          match: { path: '/strict' },
          websocket: { ...local, handler: 'echo', origins: ['https://a.com'] },
        },
        { name: 'rooms', match: { path: '/rooms/{room}/{user}' }, websocket: { ...local, handler: 'rooms' } },
        {
          name: 'secret',
          match: { path: '/secret' },
          auth: { jwt: { algorithms: ['HS256'], key: 'k'.repeat(32) } },
          websocket: { ...local, handler: 'echo' },
        },
      ],
    });
    browser = await openBrowser();
  });
  afterAll(async () => {
    await browser.close();
    await gateway.stop();
    if ('stop' in backend) await backend.stop();
    else backend.close();
  });
  afterEach(async () => {
    for (const context of contexts.splice(0)) await context.close();
  });

  /** What went wrong in a page, other than the refused handshakes that Chromium reports of itself. */
  const complaints: string[] = [];

  async function open(viewport = { width: 1280, height: 800 }): Promise<Page> {
    const context = await browser.newContext({ viewport });
    contexts.push(context);
    const page = await context.newPage();
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error' && !message.text().includes('WebSocket')) complaints.push(message.text());
    });
    await page.goto(`http://127.0.0.1:${gateway.adminPort}/#console`);
    await page.locator('#preset option').nth(5).waitFor({ state: 'attached' });
    return page;
  }

  const choose = (page: Page, route: string) =>
    page
      .locator('#preset option', { hasText: new RegExp(`^${route}:`) })
      .getAttribute('value')
      .then((value) => page.selectOption('#preset', value));

  async function connect(page: Page, route: string): Promise<void> {
    await choose(page, route);
    await page.click('#connect');
    await page.locator('#state[data-state=open]').waitFor();
  }

  /** Waits for a line of the log. */
  const line = (page: Page, kind: string, text: string | RegExp) =>
    page.locator(`#log li.${kind}`, { hasText: text }).first().waitFor();

  async function send(page: Page, kind: 'text' | 'json' | 'binary', message: string): Promise<void> {
    await page.check(`input[value=${kind}]`);
    await page.fill('#message', message);
    await page.press('#message', 'Control+Enter');
  }

  it('offers the routes of the config', async () => {
    const page = await open();
    expect(await page.locator('#preset option').allTextContents()).toEqual([
      'Choose a route of this gateway, or write a URL',
      'echo: terminate echo, /local/echo',
      'app: splice app, /ws/*',
      'talk: terminate echo, /talk',
      'strict: terminate echo, /strict',
      'rooms: terminate rooms, /rooms/{room}/{user}',
      'secret: terminate echo, /secret',
    ]);
    await choose(page, 'talk');
    expect(await page.inputValue('#url')).toBe(`ws://127.0.0.1:${gateway.port}/talk`);
    expect(await page.inputValue('#protocols')).toBe('chat.v2, chat.v1');
    await choose(page, 'rooms');
    expect(await page.inputValue('#url')).toMatch(/\/rooms\/lobby\/guest-\w+$/);
  });

  it.each(['echo', 'app'])('talks through %s: text, JSON, bytes, latency, and the close', async (route) => {
    const page = await open();
    await connect(page, route);
    await send(page, 'text', 'grüß <b>dich</b>');
    await line(page, 'sent', 'grüß <b>dich</b> 18 bytes');
    await line(page, 'received', 'grüß <b>dich</b> 18 bytes');
    await send(page, 'json', '{"a": [1]}');
    await line(page, 'received', '{"a": [1]}');
    await send(page, 'binary', '00 FF 0x1a2b');
    await line(page, 'received', '00 ff 1a 2b 4 bytes');
    expect(await page.textContent('#counts')).toBe('3 sent, 3 received');
    expect(await page.locator('#log b').count()).toBe(0);
    await page.click('#measure');
    await line(page, 'note', /latency.* ms \(.* 10 echoes\)/);
    await page.fill('#close-code', '4001');
    await page.fill('#close-reason', 'enough');
    await page.click('#close-form button');
    await line(page, 'note', '4001: enough');
    await gateway.log({ event: 'session_closed', route, close_code: 4001 });
    expect(await page.isDisabled('#send')).toBe(true);
    for (const time of await page.locator('#log time').allTextContents())
      expect(time).toMatch(/^\d\d:\d\d:\d\d\.\d{3}$/);
  });

  it('says which subprotocol was chosen', async () => {
    const page = await open();
    await connect(page, 'talk');
    expect(await page.textContent('#state')).toBe('Connected, subprotocol chat.v2');
  });

  it('says when a message is none, and sends nothing', async () => {
    const page = await open();
    await connect(page, 'echo');
    await send(page, 'json', '{"a"');
    expect(await page.textContent('#message-hint')).toMatch(/^Not sent: /);
    await send(page, 'binary', '0');
    expect(await page.textContent('#message-hint')).toContain('the last one has one');
    await send(page, 'binary', 'zz');
    expect(await page.textContent('#message-hint')).toContain('only the digits');
    expect(await page.textContent('#counts')).toBe('nothing yet');
  });

  it('shows the Close of the other side, with its meaning', async () => {
    const page = await open();
    await connect(page, 'app');
    if (!python) return;
    await send(page, 'text', 'close 1012 back soon');
    await line(page, 'note', '1012 (restart: connect again): back soon');
  });

  it('shows why an Origin was refused, which a browser hides', async () => {
    const page = await open();
    await choose(page, 'strict');
    await page.click('#connect');
    await page.locator('#state', { hasText: 'Refused: 403 origin' }).waitFor();
    await line(page, 'failed', '403 origin: this Origin may not connect here');
    expect(await page.textContent('#why-title')).toBe(
      `Refused: 403 origin, asked with Origin http://127.0.0.1:${gateway.adminPort}`,
    );
    expect(await page.locator('#why-lines .no').last().textContent()).toContain('origins: https://a.com');
    await gateway.log({ event: 'handshake_rejected', route: 'strict', reason: 'origin' });
  });

  it('shows what decided, also where that is beyond an explanation, and not what befell others', async () => {
    const page = await open();
    const other = new Client(`ws://127.0.0.1:${gateway.port}/secret`, { origin: 'https://other.example' });
    other.on('error', () => {});
    await choose(page, 'secret');
    await page.click('#connect');
    await page.locator('#state', { hasText: 'Refused: 401 auth' }).waitFor();
    expect(await page.textContent('#why-title')).toMatch(/^Refused: 401 auth, asked with Origin http:/);
    expect(await page.getAttribute('#why', 'data-verdict')).toBe('no');
    expect(await page.locator('#why-lines li').first().textContent()).toContain('decided by routes.secret.auth');
  });

  it('keeps the newest line in sight where the log gets smaller, and leaves who reads earlier ones alone', async () => {
    const page = await open();
    await choose(page, 'strict');
    for (let i = 1; i <= 8; i++) {
      await page.click('#connect');
      await page
        .locator('#log li.failed', { hasText: 'decided by' })
        .nth(i - 1)
        .waitFor();
    }
    await connect(page, 'echo');
    await send(page, 'text', 'hello');
    await line(page, 'received', 'hello');
    const log = (await page.locator('#log-scroll').boundingBox())!;
    const newest = (await page.locator('#log li.received').boundingBox())!;
    expect([newest.y >= log.y, newest.y + newest.height <= log.y + log.height + 1]).toEqual([true, true]);
    const top = () => page.evaluate<number>("document.querySelector('#log-scroll').scrollTop");
    await page.locator('#log-scroll').evaluate((node) => node.scrollTo(0, 0));
    await page.evaluate('new Promise(requestAnimationFrame)');
    await send(page, 'text', 'again');
    await line(page, 'received', 'again');
    expect(await top()).toBe(0);
  });

  it('has the answer to a message in sight on a phone', async () => {
    const page = await open({ width: 375, height: 667 });
    await connect(page, 'echo');
    await page.keyboard.type('hello');
    await page.keyboard.press('Control+Enter');
    await line(page, 'received', 'hello');
    const { y, height } = (await page.locator('#log li.received').boundingBox())!;
    expect([y > 0, y + height < 667]).toEqual([true, true]);
  });

  it('explains what another Origin would get', async () => {
    const page = await open();
    await choose(page, 'strict');
    await page.fill('#origin', 'https://a.com');
    await page.click('#explain');
    await page.locator('#why-title', { hasText: 'Let in, asked with Origin https://a.com' }).waitFor();
  });

  it('says so where no route is, and where no URL is', async () => {
    const page = await open();
    await page.fill('#url', `ws://127.0.0.1:${gateway.port}/nowhere`);
    await page.press('#url', 'Enter');
    await page.locator('#state', { hasText: 'Refused: 404 no_route' }).waitFor();
    await page.fill('#url', 'nonsense://x');
    await page.press('#url', 'Enter');
    await line(page, 'failed', 'error');
  });

  it('lets two pages chat in a room', async () => {
    const [ann, bob] = [await open(), await open()];
    for (const [page, name] of [
      [ann, 'ann'],
      [bob, 'bob'],
    ] as const) {
      await page.fill('#url', `ws://127.0.0.1:${gateway.port}/rooms/lobby/${name}`);
      await page.press('#url', 'Enter');
      await page.locator('#state[data-state=open]').waitFor();
    }
    await send(ann, 'text', 'hello bob');
    await line(bob, 'received', 'ann: hello bob');
    await send(bob, 'text', 'hello ann');
    await line(ann, 'received', 'bob: hello ann');
  });

  it('gives the same as command lines, quoted for a shell', async () => {
    const page = await open();
    await choose(page, 'talk');
    await page.fill('#origin', "https://it's.example");
    await page.click('summary');
    const url = `127.0.0.1:${gateway.port}/talk`;
    expect(await page.textContent('#command-wscat')).toBe(
      `wscat -c 'ws://${url}' -s 'chat.v2' -s 'chat.v1' -o 'https://it'\\''s.example'`,
    );
    const curl = await page.textContent('#command-curl');
    expect(curl).toContain("-H 'Sec-WebSocket-Protocol: chat.v2, chat.v1'");
    expect(curl).toMatch(new RegExp(`'http://${url}'$`));
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    // It says so for a while only.
    const copied = page.locator('[data-copy=command-wscat]', { hasText: 'Copied' }).waitFor();
    await Promise.all([copied, page.click('[data-copy=command-wscat]')]);
    expect(await page.evaluate<string>('navigator.clipboard.readText()')).toBe(
      await page.textContent('#command-wscat'),
    );
  });

  it('is used by keyboard alone', async () => {
    const page = await open();
    await page.focus('#preset');
    const visited: string[] = [];
    for (let i = 0; i < 12; i++) {
      visited.push(await page.evaluate<string>('document.activeElement.id || document.activeElement.tagName'));
      await page.keyboard.press('Tab');
    }
    expect(visited).toEqual(
      expect.arrayContaining([
        'preset',
        'url',
        'protocols',
        'origin',
        'connect',
        'explain',
        'SUMMARY',
        'message',
        'clear',
        'log-scroll',
      ]),
    );
    await page.focus('#connect');
    await page.keyboard.press('Enter');
    await page.locator('#state[data-state=open]').waitFor();
    // The message comes next, without another Tab.
    await page.keyboard.type('by hand');
    await page.keyboard.press('Control+Enter');
    await line(page, 'received', 'by hand');
  });

  it.each([
    { width: 1280, height: 800 },
    { width: 768, height: 1024 },
    { width: 390, height: 844 },
    { width: 320, height: 568 },
  ])('fits $width pixels, with long messages too', async (viewport) => {
    const page = await open(viewport);
    await connect(page, 'echo');
    await send(page, 'text', 'x'.repeat(6000));
    await line(page, 'received', '6000 bytes, the first 4000 characters');
    await page.click('summary');
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(viewport.width);
  });

  it('keeps a bounded log, and can be cleared', async () => {
    const page = await open();
    await connect(page, 'echo');
    await page.fill('#message', 'again');
    await page.evaluate("for (let i = 0; i < 600; i++) document.querySelector('#send').click()");
    await page.locator('#counts', { hasText: '600 sent, 600 received' }).waitFor();
    expect(await page.locator('#log li').count()).toBe(1000);
    await page.click('#clear');
    expect(await page.locator('#log li').count()).toBe(0);
  });

  it('loads nothing from elsewhere, and breaks no rule of its own policy', async () => {
    const page = await open();
    const origins = new Set<string>();
    page.on('request', (request) => origins.add(new URL(request.url()).origin));
    await page.reload();
    await page.locator('#preset option').nth(5).waitFor({ state: 'attached' });
    expect([...origins]).toEqual([`http://127.0.0.1:${gateway.adminPort}`]);
    const response = await page.request.get(`http://127.0.0.1:${gateway.adminPort}/`);
    expect(response.headers()['content-security-policy']).toMatch(
      /^default-src 'none'; script-src 'self'; style-src 'self'/,
    );
    expect(response.headers()['content-security-policy']).not.toContain('unsafe');
    expect(complaints).toEqual([]);
  });
});
