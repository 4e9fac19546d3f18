// Keys of TLS: none is in the log, whatever becomes of it, and the threads' keys of session tickets are in no core dump.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADDON } from '../../src/relay/native/addon.ts';
import { makeSelfSigned } from '../../src/runtime/tls/self-signed.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { connectRaw } from '../support/raw.ts';

const dir = mkdtempSync(join(tmpdir(), 'upgate-keys-'));
const at = (name: string) => join(dir, name);
const pair = makeSelfSigned(['app.example'], new Date());
const other = makeSelfSigned(['other.example'], new Date());
const tickets = [randomBytes(48), randomBytes(48), randomBytes(48)];

let gateway: Gateway;
beforeAll(async () => {
  writeFileSync(at('app.crt'), pair.cert);
  writeFileSync(at('app.key'), pair.key);
  writeFileSync(at('tickets'), tickets[0]!);
  const tls = { certificates: [{ cert: at('app.crt'), key: at('app.key') }], ticket_key_file: at('tickets') };
  gateway = await startGateway({
    listeners: (['native', 'node'] as const).map((engine) => ({ host: '127.0.0.1', port: 0, tls: { ...tls, engine } })),
    log: { level: 'debug' },
    routes: [{ name: 'all', respond: { body: 'served' } }],
  });
});
afterAll(async () => {
  await gateway.stop();
  rmSync(dir, { recursive: true });
});

async function shakeHands(port: number, options: ConnectionOptions = {}) {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options }).on('error', () => {});
  socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  await new Promise((resolve) => socket.resume().once('close', resolve));
}

describe('keys of TLS', () => {
  /** Reloads that fail and succeed, and handshakes that do. */
  async function use() {
    for (const port of gateway.ports) {
      for (const options of [{}, { ecdhCurve: 'P-521' }, { maxVersion: 'TLSv1.2' } as const])
        await shakeHands(port, options);
      const client = await connectRaw(port);
      client.write('GET / HTTP/1.1\r\n\r\n');
      await client.closed();
    }
  }
  const reloaded = async (change: () => void, result: 'success' | 'failure') => {
    const count = () => gateway.metric('config_reloads_total', { result });
    const before = (await count()) ?? 0;
    change();
    gateway.signal('SIGHUP');
    await expect.poll(count).toBeGreaterThan(before);
  };

  it('none of them is in the log, whatever becomes of it', async () => {
    await use();
    await reloaded(() => writeFileSync(at('app.key'), other.key), 'failure');
    await reloaded(() => writeFileSync(at('app.key'), pair.key.slice(0, -60)), 'failure');
    writeFileSync(at('tickets'), `${tickets[1]!.toString('base64')}!\n`);
    await reloaded(() => writeFileSync(at('app.key'), pair.key), 'failure');
    await reloaded(() => writeFileSync(at('tickets'), `${tickets[2]!.toString('base64')}\n`), 'success');
    await use();
    const output = gateway.output();
    const lines = [pair.key, other.key].flatMap((key) => key.split('\n').filter((line) => /^[\w+/=]{16,}$/.test(line)));
    expect(lines.length).toBeGreaterThan(3);
    const secrets = [...lines, ...tickets.flatMap((key) => [key.toString('base64'), key.toString('hex')])];
    // Also a part of one.
    expect(secrets.filter((secret) => output.includes(secret.slice(0, 12)))).toEqual([]);
    expect(output).toContain('config_reloaded');
  });

  it.skipIf(!existsSync(ADDON))('those of session tickets that the threads have are in no core dump', () => {
    const memory = openSync(`/proc/${gateway.pid}/mem`, 'r');
    const maps = readFileSync(`/proc/${gateway.pid}/smaps`, 'latin1').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
    // What is written to, and is left out of dumps.
    const left = maps
      .filter((map) => /^\S+ rw-p /.test(map) && /^VmFlags:.* dd\b/m.test(map))
      .map((map) => /^([0-9a-f]+)-([0-9a-f]+)/.exec(map)!);
    const holding = left.filter(([, from, to]) => {
      const [start, size] = [Number.parseInt(from!, 16), Number.parseInt(to!, 16) - Number.parseInt(from!, 16)];
      if (size > 1 << 20) return false;
      const bytes = Buffer.alloc(size);
      readSync(memory, bytes, 0, size, start);
      return bytes.includes(tickets[2]!);
    });
    expect(holding.length).toBeGreaterThan(0);
  });
});
