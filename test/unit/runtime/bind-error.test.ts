import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type ListenOptions } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { describeBindError } from '../../../src/runtime/bind-error.ts';

/** The system's own error for a bind that fails. */
async function bindError(options: ListenOptions): Promise<unknown> {
  const server = createServer();
  server.listen(options);
  const [error] = await once(server, 'error');
  return error;
}

const coded = (code: string) => Object.assign(new Error(`listen ${code}`), { code });

describe('describeBindError for a port', () => {
  test('in use: names the address and how to find the process', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    const text = describeBindError(await bindError({ host: '127.0.0.1', port }), `127.0.0.1:${port}`);
    taken.close();
    expect(text.split('\n')).toEqual([
      `Cannot listen on 127.0.0.1:${port}: the port is taken (EADDRINUSE).`,
      `See who has it with:  ss -ltnp 'sport = :${port}'`,
      'Stop that process, or name another port in the config.',
    ]);
  });

  test('an address of another machine', async () => {
    const error = await bindError({ host: '192.0.2.1', port: 0 });
    expect(describeBindError(error, '192.0.2.1:0')).toMatch(
      /^Cannot listen on 192\.0\.2\.1:0: this machine does not have/,
    );
  });

  test('privileged: the three ways out', () => {
    const text = describeBindError(coded('EACCES'), '[::]:443');
    expect(text).toMatch(/^Cannot listen on \[::\]:443: permission denied \(EACCES\)\.\n/);
    expect(text).toContain(`sudo setcap 'cap_net_bind_service=+ep' "$(readlink -f "$(which node)")"`);
    expect(text).toContain('AmbientCapabilities=CAP_NET_BIND_SERVICE');
    expect(text).toContain('sysctl net.ipv4.ip_unprivileged_port_start=80');
    // Whatever the config: it may have no variable for the port.
    expect(text).toContain('`port: 8080` in the config; HTTP_PORT=8080 where that takes it from the environment');
  });

  test.each([
    ['EAFNOSUPPORT', 'no IPv6', '0.0.0.0'],
    ['ENOTFOUND', 'cannot be resolved', 'IP address'],
    ['EINVAL', 'as it is written', 'fe80::1%eth0'],
    ['EMFILE', 'no file descriptor', 'LimitNOFILE'],
  ])('%s', (code, why, todo) => {
    const text = describeBindError(coded(code), '[fe80::1]:80');
    expect(text).toContain(why);
    expect(text).toContain(todo);
  });

  test('anything else: the error in its own words', () => {
    expect(describeBindError(new Error('odd'), '[::]:80')).toBe('Cannot listen on [::]:80: odd.');
    expect(describeBindError('odd', '[::]:80')).toBe('Cannot listen on [::]:80: odd.');
  });
});

describe('describeBindError for a unix socket', () => {
  test('each real failure of a path is told apart', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'upgate-'));
    const file = join(dir, 'file');
    writeFileSync(file, '');
    const told = async (path: string) => describeBindError(await bindError({ path }), `unix:${path}`);
    expect(await told(file)).toContain(`rm '${file}'`);
    expect(await told(join(dir, 'gone', 's.sock'))).toContain('its directory does not exist');
    expect(await told(join(file, 's.sock'))).toContain('is no directory');
    rmSync(dir, { recursive: true });
  });

  test.each([
    ['EACCES', 'RuntimeDirectory'],
    ['EPERM', 'RuntimeDirectory'],
    ['EROFS', 'read-only'],
  ])('%s', (code, todo) => {
    expect(describeBindError(coded(code), '/run/upgate.sock')).toContain(todo);
  });
});
