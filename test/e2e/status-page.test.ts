// The status page in a real Chromium: what an operator sees and does there, through the built program.
import { once } from 'node:events';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openBrowser } from '../support/browser.ts';
import { type Client, openClient } from '../support/client.ts';
import { type EchoServer, startEcho } from '../support/echo.ts';
import { type Gateway, type GatewayFile, startGateway } from '../support/gateway.ts';
import { hasPeers } from '../support/peers.ts';

const TOKEN = 'a-token-of-some-length';

describe.skipIf(!hasPeers('chromium'))('the status page', () => {
  let browser: Browser;
  let echo: EchoServer;
  let gateway: Gateway;
  const contexts: BrowserContext[] = [];
  const clients: Client[] = [];
  const complaints: string[] = [];

  const config = (): GatewayFile => ({
    listeners: [
      { host: '127.0.0.1', port: 0 },
      { host: '127.0.0.1', port: 0, tls: { self_signed: ['localhost'] } },
    ],
    admin: { port: 0, token: TOKEN },
    upstreams: { app: { servers: [`ws://127.0.0.1:${echo.port}`, 'ws://127.0.0.1:1'] } },
    routes: [
      { name: 'app', match: { path: '/ws/*' }, websocket: { mode: 'splice', upstream: 'app', origins: 'any' } },
      {
        name: 'strict',
        match: { path: '/strict/*' },
        websocket: { mode: 'terminate', handler: 'echo', origins: ['https://a.com'] },
      },
      {
        name: 'strict-tls',
        match: { path: '/tls', scheme: 'https' },
        websocket: { mode: 'terminate', handler: 'echo', origins: ['https://a.com'] },
      },
      {
        name: 'rooms',
        match: { path: '/rooms/{room}/{user}' },
        websocket: { mode: 'terminate', handler: 'rooms', origins: 'any' },
      },
      {
        name: 'one',
        match: { path: '/one' },
        websocket: {
          ...{ mode: 'terminate', handler: 'echo', origins: 'any' },
          ...{ subprotocols: ['chat.v2'], limits: { connections: 1 } },
        },
      },
    ],
  });

  beforeAll(async () => {
    echo = await startEcho();
    gateway = await startGateway(config());
    browser = await openBrowser();
  });
  afterAll(async () => {
    await browser.close();
    await gateway.stop();
    echo.close();
  });
  afterEach(async () => {
    for (const { socket } of clients.splice(0)) socket.terminate();
    for (const context of contexts.splice(0)) await context.close();
  });

  async function open(hash = '', viewport = { width: 1280, height: 800 }, port = gateway.adminPort): Promise<Page> {
    const context = await browser.newContext({ viewport });
    contexts.push(context);
    const page = await context.newPage();
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('dialog', (dialog) => void dialog.accept());
    await page.goto(`http://127.0.0.1:${port}/${hash}`);
    return page;
  }

  async function connect(path: string): Promise<Client> {
    const client = await openClient(`ws://127.0.0.1:${gateway.port}${path}`);
    clients.push(client);
    return client;
  }

  const useToken = async (page: Page, token = TOKEN) => {
    await page.fill('#token', token);
    await page.press('#token', 'Enter');
  };

  const refuse = (path: string) =>
    openClient(`ws://127.0.0.1:${gateway.port}${path}`, { origin: 'https://evil.example' }).then(
      () => expect.unreachable(),
      () => {},
    );

  it('shows that the gateway is ready, its figures, servers and config, with nothing going on', async () => {
    const page = await open();
    await page.locator('#gateway-state[data-state=ready]').waitFor();
    await page.locator('#servers tr').nth(1).waitFor();
    expect(await page.textContent('#figure-sessions')).toBe('0');
    expect(await page.textContent('#about')).toContain(gateway.file);
    await page.locator('#sessions-empty', { hasText: 'No tunnel is open.' }).waitFor();
    const cells = await page.locator('#routes td').allTextContents();
    expect(cells).toEqual([
      'app',
      'splice to app',
      '0',
      'strict',
      'echo',
      '0',
      'strict-tls',
      'echo',
      '0',
      'rooms',
      'rooms',
      '0',
      'one',
      'echo',
      '0',
    ]);
  });

  it('shows ten tunnels, and more when asked', async () => {
    for (let i = 0; i < 12; i++) await connect('/ws/many');
    const page = await open();
    await page.locator('#sessions tr').nth(9).waitFor();
    expect(await page.locator('#sessions tr').count()).toBe(10);
    await page.locator('#sessions-more', { hasText: 'Show 12' }).click();
    await page.locator('#sessions tr').nth(11).waitFor();
    expect(await page.locator('#routes td').nth(2).textContent()).toBe('12');
    await page.locator('#sessions-more', { hasText: 'Show fewer' }).click();
    await page.locator('#sessions tr').nth(11).waitFor({ state: 'detached' });
  });

  it('says in sight what became of a change, wherever the page is scrolled to', async () => {
    const page = await open('', { width: 375, height: 667 });
    await connect('/ws/far-down');
    await page.fill('#session-search', '/ws/far-down');
    await useToken(page);
    await page.locator('#sessions button:enabled').click();
    const state = page.locator('#change-state', { hasText: 'Done: 1 tunnel is being closed.' });
    await state.waitFor();
    const { y, height } = (await state.boundingBox())!;
    expect([y > 0, y + height < 667]).toEqual([true, true]);
  });

  it('keeps its columns where they are while what is in them changes', async () => {
    const page = await open();
    await page.locator('#servers tr').nth(1).waitFor();
    const columns = () =>
      page.evaluate<number[]>(
        "[...document.querySelectorAll('.full th')].map((th) => th.getBoundingClientRect().left)",
      );
    const before = await columns();
    await connect(`/ws/${'wide'.repeat(50)}`);
    await refuse(`/strict/${'x'.repeat(300)}`);
    await useToken(page);
    await page.locator('#servers button').nth(1).click();
    await page.locator('#servers tr', { hasText: 'set to drain' }).waitFor();
    await page.locator('#sessions tr', { hasText: 'wide' }).waitFor();
    await page.locator('#refusals tr', { hasText: 'xxx' }).first().waitFor();
    expect(await columns()).toEqual(before);
    await page.locator('#servers button').nth(1).click();
    await page.locator('#servers tr', { hasText: 'set to drain' }).waitFor({ state: 'detached' });
  });

  it('says at its top that a reload failed, and why', async () => {
    const other = await startGateway(config());
    const good = readFileSync(other.file, 'utf8');
    writeFileSync(other.file, good.replace('"echo"', '"ecco"'));
    const page = await open('', undefined, other.adminPort);
    await page.locator('#gateway-state', { hasText: 'Ready, but the last reload failed' }).waitFor();
    expect(await page.textContent('#problems')).toContain('websocket.handler');
    await other.stop();
  });

  it('says at its top that a certificate could not be ordered, and why', async () => {
    const acme = {
      ...{ domains: ['op.example.com'], email: 'op@example.com', terms_agreed: true },
      ...{ directory: 'https://127.0.0.1:1/directory', storage: mkdtempSync(join(tmpdir(), 'upgate-page-')) },
    };
    const [plain] = config().listeners;
    const other = await startGateway({
      ...config(),
      listeners: [plain!, { host: '127.0.0.1', port: 0, tls: { acme } }],
    });
    const page = await open('', undefined, other.adminPort);
    await page.locator('#gateway-state', { hasText: 'Ready, but an order of a certificate failed' }).waitFor();
    expect(await page.locator('#about [data-state=bad]').allTextContents()).toEqual([
      expect.stringMatching(/^op\.example\.com: pending, failed at .*ECONNREFUSED/),
    ]);
    await other.stop();
  });

  it('shows a handshake that a server refused, with its Origin and the server', async () => {
    const refusing = createServer().on('upgrade', (_, socket) => {
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n');
    });
    await once(refusing.listen(0, '127.0.0.1'), 'listening');
    const server = `ws://127.0.0.1:${(refusing.address() as AddressInfo).port}`;
    const other = await startGateway({ ...config(), upstreams: { app: { servers: [server] } } });
    const from = { origin: 'https://a.example' };
    await expect(openClient(`ws://127.0.0.1:${other.port}/ws/1`, from)).rejects.toThrow();
    const page = await open('', undefined, other.adminPort);
    const row = page.locator('#refusals tr', { hasText: `403 passed: ${server} answered 403` });
    expect(await row.textContent()).toContain('/ws/1, Origin https://a.example');
    await other.stop();
    refusing.close();
  });

  it('shows tunnels as they come, finds them, and closes one with the token', async () => {
    const page = await open();
    const [, wanted] = [await connect('/ws/one'), await connect('/ws/two')];
    await page.locator('#figure-sessions', { hasText: '2' }).waitFor();
    await page.fill('#session-search', '/ws/two');
    await page.locator('#sessions-count', { hasText: '1 of 2' }).waitFor();
    expect(await page.locator('#sessions button').isDisabled()).toBe(true);
    await useToken(page);
    await page.locator('#sessions button:enabled').click();
    expect(await wanted.closed).toMatchObject({ code: 1012 });
    await page.locator('#change-state', { hasText: 'Done: 1 tunnel is being closed.' }).waitFor();
  });

  it('drains a server and takes it back, keeps the focus meanwhile, and says why of a wrong token', async () => {
    const page = await open();
    await page.locator('#servers tr').nth(1).waitFor();
    await useToken(page, 'another-token-of-that-length');
    const button = page.locator('#servers button').nth(1);
    await button.click();
    await page.locator('#change-state', { hasText: '401 unauthorized' }).waitFor();
    await useToken(page);
    await button.focus();
    await page.keyboard.press('Enter');
    await page.locator('#servers tr', { hasText: 'set to drain' }).waitFor();
    await page.locator('#about', { hasText: 'drain (until a restart)' }).waitFor();
    // The row is the same one, whose values have changed.
    expect(await button.evaluate((node) => node === node.ownerDocument.activeElement)).toBe(true);
    await page.keyboard.press('Enter');
    await page.locator('#servers tr', { hasText: 'set to drain' }).waitFor({ state: 'detached' });
  });

  it('shows what was refused with the rule that decided, as text, and explains it', async () => {
    await refuse('/strict/<img src=x onerror=alert(1)>');
    const page = await open();
    const row = page.locator('#refusals tr', { hasText: 'routes.strict.websocket.origins' }).first();
    await row.waitFor();
    expect(await page.locator('#refusals img').count()).toBe(0);
    await row.locator('a').click();
    await page
      .locator('#why-title', { hasText: 'Refused: 403 origin, asked with Origin https://evil.example' })
      .waitFor();
    expect(await page.locator('#view-status').isHidden()).toBe(true);
  });

  it('explains a handshake over TLS as one over TLS', async () => {
    const { listeners } = (await (await fetch(`http://127.0.0.1:${gateway.adminPort}/status`)).json()) as {
      listeners: { port: number; tls: boolean }[];
    };
    const { port } = listeners.find(({ tls }) => tls)!;
    const options = { origin: 'https://evil.example', rejectUnauthorized: false };
    await expect(openClient(`wss://127.0.0.1:${port}/tls`, options)).rejects.toThrow();
    const page = await open();
    await page.locator('#refusals tr', { hasText: 'routes.strict-tls.websocket.origins' }).first().locator('a').click();
    await page.locator('#why-title', { hasText: 'Refused: 403 origin' }).waitFor();
    expect(await page.inputValue('#url')).toBe(`wss://127.0.0.1:${port}/tls`);
  });

  it('explains a version as the one that was asked for', async () => {
    const url = `ws://127.0.0.1:${gateway.port}/one`;
    await expect(openClient(url, { protocols: ['chat.v2'], protocolVersion: 8 })).rejects.toThrow();
    const page = await open();
    await page.locator('#refusals tr', { hasText: 'routes.one.websocket.versions' }).first().locator('a').click();
    await page.locator('#why-title', { hasText: 'Refused: 426 version' }).waitFor();
    // The refusal that was, and the same from the rules.
    const lines = await page.locator('#why-lines > li').allTextContents();
    expect(lines[0]).toMatch(/^426 version: .*; decided by routes.one.websocket.versions$/);
    expect(lines.at(-1)).toMatch(/^-> 426 version/);
  });

  it('explains what the rules let in with what has decided', async () => {
    const options = { protocols: ['chat.v2', 'a-secret'] };
    clients.push(await openClient(`ws://127.0.0.1:${gateway.port}/one`, options));
    await expect(openClient(`ws://127.0.0.1:${gateway.port}/one`, options)).rejects.toThrow();
    const page = await open();
    await page.locator('#refusals tr', { hasText: 'routes.one.websocket.limits.connections' }).locator('a').click();
    await page.locator('#why-title', { hasText: 'Refused: 503 limit' }).waitFor();
    const [first, second, ...rest] = await page.locator('#why-lines > li').allTextContents();
    expect(first).toContain('decided by routes.one.websocket.limits.connections');
    expect(second).toBe('What the rules alone say of it now, without state or credentials:');
    expect(rest.at(-1)).toBe('-> 101, terminated here by handler echo');
    expect(await page.inputValue('#protocols')).toBe('chat.v2');
  });

  it('has two tabs for the keyboard', async () => {
    const page = await open();
    await page.focus('#tab-status');
    await page.keyboard.press('ArrowRight');
    await page.locator('#view-console:visible').waitFor();
    expect(await page.getAttribute('#tab-console', 'aria-selected')).toBe('true');
    await page.keyboard.press('ArrowLeft');
    await page.locator('#view-status:visible').waitFor();
  });

  it.each([375, 768, 1280, 1920])('fits %i pixels', async (width) => {
    await connect('/ws/wide');
    await refuse(`/strict/${'x'.repeat(300)}`);
    const page = await open('', { width, height: 800 });
    await page.locator('#refusals tr').first().waitFor();
    await page.locator('#sessions tr').first().waitFor();
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
  });

  it('has nothing to enter a token in where the config has none', async () => {
    const other = await startGateway({ ...config(), admin: { port: 0 } });
    const page = await open('', undefined, other.adminPort);
    await page.locator('#token-state', { hasText: 'Read-only: the config has no admin.token' }).waitFor();
    expect(await page.locator('#token-form').isHidden()).toBe(true);
    await other.stop();
  });

  it('says so when the gateway is not reached any more', async () => {
    const other = await startGateway(config());
    const page = await open('', undefined, other.adminPort);
    await page.locator('#gateway-state[data-state=ready]').waitFor();
    await other.stop('SIGKILL');
    await page.locator('#gateway-state', { hasText: 'Not reached' }).waitFor();
  });

  it('of the console: knows when a URL is not of this gateway, and keeps probes out of rooms', async () => {
    const page = await open('#console');
    await page.locator('#preset option').nth(2).waitFor({ state: 'attached' });
    await page.fill('#url', 'ws://127.0.0.1:1/ws/x');
    await page.click('#connect');
    await page.locator('#state', { hasText: 'Not seen by this gateway' }).waitFor();
    expect(await page.textContent('#log')).toContain("port 1 is none of this gateway's");
    expect(await page.textContent('#why-lines')).toContain("port 1 is none of this gateway's");
    await page.fill('#url', `ws://127.0.0.1:${gateway.port}/rooms/lobby/ann`);
    await page.click('#connect');
    await page.locator('#state[data-state=open]').waitFor();
    expect(await page.locator('#measure').isDisabled()).toBe(true);
  });

  it('raised no error in any page', () => {
    expect(complaints).toEqual([]);
  });
});
