import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { schema } from '../../../src/config/schema/schema.ts';
import { readSecrets } from '../../../src/runtime/secrets.ts';

const directory = mkdtempSync(join(tmpdir(), 'upgate-secrets-'));
const file = (name: string, text: string) => {
  writeFileSync(join(directory, name), text);
  return name;
};
const configOf = (admin: object, webhook: object = {}) =>
  schema.parse({
    listeners: [{ port: 0 }],
    admin,
    upstreams: { rest: { servers: ['http://127.0.0.1:1'] } },
    routes: [
      { name: 'plain', http: { upstream: 'rest' } },
      {
        name: 'hook',
        websocket: { mode: 'terminate', handler: 'webhook', webhook: { upstream: 'rest', path: '/', ...webhook } },
      },
    ],
  });

const keyOf = (config: ReturnType<typeof configOf>) => {
  const { websocket } = config.routes[1]!;
  return websocket?.mode === 'terminate' ? websocket.webhook?.key : undefined;
};

describe('readSecrets', () => {
  it('leaves a config without files as it is', async () => {
    const config = configOf({ token: 'a-token-of-some-length' }, { key: 'k' });
    expect(await readSecrets(config, directory)).toEqual({ config, problems: [] });
  });

  it('reads token and key, without the line end', async () => {
    const config = configOf(
      { token_file: file('token', 'a-token-of-some-length\n') },
      { key_file: join(directory, file('key', '  k1,k2\r\n')) },
    );
    const { config: read, problems } = await readSecrets(config, directory);
    expect(problems).toEqual([]);
    expect([read.admin.token, keyOf(read)]).toEqual(['a-token-of-some-length', 'k1,k2']);
  });

  it('reports each file that is of no use, at its place', async () => {
    mkdirSync(join(directory, 'folder'));
    const read = async (...args: Parameters<typeof configOf>) =>
      (await readSecrets(configOf(...args), directory)).problems;
    const token = { severity: 'error', path: ['admin', 'token_file'] };
    const key = { severity: 'error', path: ['routes', 1, 'websocket', 'webhook', 'key_file'] };
    expect(await read({ token_file: 'nowhere' }, { key_file: file('empty', ' \n') })).toEqual([
      { ...token, message: 'there is no such file' },
      { ...key, message: 'the file is empty' },
    ]);
    expect(await read({ token_file: file('short', 'short') }, { key_file: 'folder' })).toEqual([
      { ...token, message: 'the file must hold 16 or more visible ASCII characters, without spaces' },
      { ...key, message: 'the file cannot be read: EISDIR' },
    ]);
  });
});
