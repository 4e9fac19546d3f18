// Keys of session tickets in files: two of the built gateway, as replicas and as one that is started again, and keys that are
// rotated while it serves. Resumption without files is tls.test.ts.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSelfSigned } from '../../src/runtime/tls/self-signed.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';

const dir = mkdtempSync(join(tmpdir(), 'upgate-tickets-'));
const at = (name: string) => join(dir, name);
const newKey = () => randomBytes(48).toString('base64');

function writePair(label: string) {
  const { cert, key } = makeSelfSigned([`${label}.example`], new Date());
  writeFileSync(at(`${label}.crt`), cert);
  writeFileSync(at(`${label}.key`), key);
  return { cert: at(`${label}.crt`), key: at(`${label}.key`) };
}

/** As a tool that rotates keys does it: never half of a file. */
function writeKeys(...content: readonly string[]) {
  writeFileSync(at('next'), `${content.join('\n')}\n`);
  renameSync(at('next'), at('tickets'));
}

const start = (): Promise<Gateway> =>
  startGateway({
    listeners: [{ host: '127.0.0.1', port: 0, tls: { certificates, ticket_key_file: [at('tickets'), at('spare')] } }],
    routes: [{ name: 'all', respond: { body: 'served' } }],
  });

const certificates = [writePair('first'), writePair('second')];
let [gateway, replica]: Gateway[] = [];
beforeAll(async () => {
  writeFileSync(at('spare'), randomBytes(80));
  writeKeys(newKey());
  [gateway, replica] = await Promise.all([start(), start()]);
});
afterAll(async () => {
  await Promise.all([gateway!.stop(), replica!.stop()]);
  rmSync(dir, { recursive: true });
});

const WAYS = ['first.example', 'second.example', ''].flatMap((servername) =>
  (['TLSv1.2', 'TLSv1.3'] as const).map((version) => ({ servername, minVersion: version, maxVersion: version })),
);

const open = ({ port }: Gateway, way: (typeof WAYS)[number], session?: Buffer) =>
  connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...way, ...(session ? { session } : {}) });

/** A session of each way to come. */
const sessionsOf = (from: Gateway): Promise<Buffer[]> =>
  Promise.all(
    WAYS.map(async (way) => {
      const socket = open(from, way);
      const [session] = (await once(socket, 'session')) as [Buffer];
      socket.destroy();
      return session;
    }),
  );

/** Whether all of them are resumed, or none. */
async function resumed(by: Gateway, sessions: readonly Buffer[]): Promise<'all' | 'some' | 'none'> {
  const found = await Promise.all(
    WAYS.map(async (way, i) => {
      const socket = open(by, way, sessions[i]!);
      await once(socket, 'secureConnect');
      const reused = socket.isSessionReused();
      socket.destroy();
      return reused;
    }),
  );
  if (found.every((reused) => reused)) return 'all';
  return found.some((reused) => reused) ? 'some' : 'none';
}

const reloads = (result: string) =>
  gateway!.logs().filter((line) => line['event'] === 'config_reloaded' && line['result'] === result).length;

describe('a session', () => {
  it('is resumed by a replica, and by a gateway that was started again', async () => {
    const sessions = await sessionsOf(gateway!);
    expect(await resumed(replica!, sessions)).toBe('all');
    await replica!.stop();
    replica = await start();
    expect(await resumed(replica, sessions)).toBe('all');
  });

  it('outlives the rotation of keys as long as its key is in the file, without a signal', async () => {
    const [old, next] = [newKey(), newKey()];
    writeKeys(old);
    await expect.poll(() => reloads('success')).toBe(1);
    const sessions = await sessionsOf(gateway!);
    writeKeys(next, old);
    await expect.poll(() => reloads('success')).toBe(2);
    expect(await resumed(gateway!, sessions)).toBe('all');
    const later = await sessionsOf(gateway!);
    writeKeys(next);
    await expect.poll(() => reloads('success')).toBe(3);
    expect(await resumed(gateway!, sessions)).toBe('none');
    expect(await resumed(gateway!, later)).toBe('all');
    const count = async (): Promise<number> => {
      const of = (engine: string) =>
        gateway!.metric('tls_handshakes_total', { listener: '127.0.0.1:0', result: 'resumed', engine });
      return ((await of('native')) ?? 0) + ((await of('node')) ?? 0);
    };
    const before = await count();
    const socket = open(gateway!, WAYS[1]!, later[1]);
    socket.end('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    await once(socket.resume(), 'end');
    expect(await count()).toBe(before + 1);
  });

  it('outlives keys that can not be read, which are reported', async () => {
    const sessions = await sessionsOf(gateway!);
    writeKeys('no key');
    await expect.poll(() => reloads('failure')).toBe(1);
    expect(JSON.stringify(gateway!.logs().at(-1))).toContain('holds no ticket keys');
    expect(await resumed(gateway!, sessions)).toBe('all');
  });

  it('is begun by the keys of the first file alone', async () => {
    // The second of the list, 80 octets, was never the one that encrypts.
    rmSync(at('spare'));
    writeFileSync(at('spare'), randomBytes(80));
    writeKeys(newKey());
    await expect.poll(() => reloads('success')).toBeGreaterThanOrEqual(4);
    expect(await resumed(gateway!, await sessionsOf(gateway!))).toBe('all');
  });
});
