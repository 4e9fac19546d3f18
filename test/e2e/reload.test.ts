// A changed file is enough: the built gateway takes the new config without a signal, however the file came to change.
// What a reload does to routes and sessions is in gateway.test.ts, to certificates in tls.test.ts.
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Client, openClient } from '../support/client.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { connectRaw, handshake, readAnswer } from '../support/raw.ts';

let gateway: Gateway;
let client: Client;
let good: string;
beforeEach(async () => {
  gateway = await startGateway({
    listeners: [{ host: '127.0.0.1', port: 0 }],
    routes: [
      { name: 'echo', match: { path: '/ws' }, websocket: { mode: 'terminate', handler: 'echo', origins: 'any' } },
    ],
  });
  good = readFileSync(gateway.file, 'utf8');
  client = await openClient(`ws://127.0.0.1:${gateway.port}/ws`);
});
afterEach(async () => {
  // Whatever was reloaded, the session that was open all the time is untouched.
  client.socket.send('still here');
  expect(await client.next()).toBe('still here');
  client.socket.terminate();
  expect(await gateway.stop()).toBe(0);
});

const moved = (path: string) => good.replaceAll('"/ws"', JSON.stringify(path));

/** How each reload so far went, and what set it off. */
const reloads = () =>
  gateway
    .logs()
    .filter((line) => line['event'] === 'config_reloaded')
    .map((line) => `${line['trigger']} ${line['result']}`);

async function reloaded(...expected: string[]): Promise<void> {
  await expect.poll(reloads).toEqual(expected);
}

async function statusOf(path: string): Promise<number> {
  const raw = handshake({ Connection: 'Upgrade' }, `GET ${path} HTTP/1.1`);
  const connection = await connectRaw(gateway.port);
  connection.write(raw);
  const answer = await connection.until('\r\n\r\n');
  connection.socket.destroy();
  return readAnswer(answer).status;
}

describe('a changed file', () => {
  it('written in place is taken', async () => {
    writeFileSync(gateway.file, moved('/one'));
    await reloaded('file success');
    expect([await statusOf('/one'), await statusOf('/ws')]).toEqual([101, 404]);
  });

  it('renamed over it is taken, again and again', async () => {
    for (const path of ['/one', '/two']) {
      writeFileSync(`${gateway.file}.new`, moved(path));
      renameSync(`${gateway.file}.new`, gateway.file);
      await reloaded(...(path === '/one' ? ['file success'] : ['file success', 'file success']));
      expect(await statusOf(path)).toBe(101);
    }
  });

  it('swapped as Kubernetes swaps a ConfigMap is taken', async () => {
    const dir = dirname(gateway.file);
    const publish = (version: string, text: string) => {
      mkdirSync(join(dir, version));
      writeFileSync(join(dir, version, 'gateway.yaml'), text);
      symlinkSync(version, join(dir, '..data_tmp'));
      renameSync(join(dir, '..data_tmp'), join(dir, '..data'));
    };
    publish('..2030_01', good);
    rmSync(gateway.file);
    symlinkSync('..data/gateway.yaml', gateway.file);
    publish('..2030_02', moved('/two'));
    rmSync(join(dir, '..2030_01'), { recursive: true });
    await reloaded('file success');
    expect([await statusOf('/two'), await statusOf('/ws')]).toEqual([101, 404]);
  });

  it('that is bad is refused with every problem, and mended it is taken', async () => {
    writeFileSync(gateway.file, good.replace('"echo"', '"Echo!"').replace('"terminate"', '"terminat"'));
    await reloaded('file failure');
    const failed = gateway.logs().find((line) => line['result'] === 'failure');
    expect(JSON.stringify(failed?.['problems'])).toMatch(/gateway\.yaml:\d+:\d+: error: routes\[0\]/);
    expect(await statusOf('/ws')).toBe(101);
    expect(await gateway.metric('config_last_reload_successful')).toBe(0);
    writeFileSync(gateway.file, moved('/mended'));
    await reloaded('file failure', 'file success');
    expect(await statusOf('/mended')).toBe(101);
    expect(await gateway.metric('config_last_reload_successful')).toBe(1);
    expect(await gateway.metric('config_reloads_total', { result: 'success' })).toBe(1);
    expect(await gateway.metric('config_reloads_total', { result: 'failure' })).toBe(1);
  });

  it('that vanishes leaves the old one serving, and so does a signal then', async () => {
    rmSync(gateway.file);
    gateway.signal('SIGHUP');
    await reloaded('signal failure');
    expect(await statusOf('/ws')).toBe(101);
    writeFileSync(gateway.file, moved('/back'));
    await reloaded('signal failure', 'file success');
    expect(await statusOf('/back')).toBe(101);
  });
});

it('an address of admin that is changed and changed back warns of one restart', async () => {
  const warnings = () => gateway.logs().filter(({ msg }) => String(msg).includes('takes effect at a restart'));
  const config = JSON.parse(good) as object;
  writeFileSync(gateway.file, JSON.stringify({ ...config, admin: { port: 19_901 } }));
  await reloaded('file success');
  await expect.poll(() => warnings().length).toBe(1);
  writeFileSync(gateway.file, good);
  await reloaded('file success', 'file success');
  gateway.signal('SIGHUP');
  await reloaded('file success', 'file success', 'signal success');
  expect(warnings()).toHaveLength(1);
});

describe('a signal', () => {
  it('and a change at once end with the newest content, one reload after the other', async () => {
    writeFileSync(gateway.file, moved('/first'));
    gateway.signal('SIGHUP');
    // Whole at any moment: the first reload may be reading just now.
    writeFileSync(`${gateway.file}.new`, moved('/newest'));
    renameSync(`${gateway.file}.new`, gateway.file);
    gateway.signal('SIGHUP');
    await expect.poll(() => statusOf('/newest')).toBe(101);
    // Two signals may have become one; the file's own event, a debounce later, finds nothing to do.
    await expect.poll(() => reloads().length).toBeGreaterThanOrEqual(1);
    expect(reloads().every((one) => one === 'signal success')).toBe(true);
  });
});
