// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${VAR} is what the config itself writes.
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import { formatProblem } from '../../../src/config/problem.ts';

const CONFIG = `listeners:
  - port: 443
    tls:
      certificates:
        - cert: tls.crt
          key: keys/tls.key
routes:
  - name: hello
    websocket: { mode: terminate, handler: echo, origins: any }
`;

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'upgate-load-'));
  await write('gateway.yaml', CONFIG);
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

const write = async (name: string, content: string) => await writeFile(join(dir, name), content);
const load = async (env = {}) => await loadConfig(join(dir, 'gateway.yaml'), env);

describe('a config', () => {
  it('is loaded with paths relative to its directory', async () => {
    const loaded = await load();
    expect(loaded.problems).toEqual([]);
    expect(loaded.config?.listeners[0]?.port).toBe(443);
    expect(loaded.partial).toEqual(loaded.config);
    expect(loaded.baseDir).toBe(dir);
  });

  it('takes absolute paths, from the environment too', async () => {
    await write('gateway.yaml', CONFIG.replace('tls.crt', '${CERT}'));
    expect((await load({ CERT: join(dir, 'tls.crt') })).problems).toEqual([]);
  });

  it('that is not there is a problem, not an exception', async () => {
    const file = join(dir, 'none.yaml');
    const loaded = await loadConfig(file, {});
    expect(loaded).toMatchObject({ config: null, partial: null });
    expect(loaded.problems.map(formatProblem)).toEqual([`${file}:1:1: error: cannot be read: there is no such file`]);
    const placed = loaded.locate({ severity: 'error', path: ['log'], message: 'm' });
    expect(placed).toMatchObject({ file, line: 1, column: 1 });
  });

  it('that is a directory or may not be read says so', async () => {
    expect((await loadConfig(dir, {})).problems[0]?.message).toBe('cannot be read: it is a directory');
    expect((await loadConfig(join(dir, 'gateway.yaml', 'x'), {})).problems[0]?.message).toBe('cannot be read: ENOTDIR');
  });

  it.skipIf(process.getuid?.() === 0)('that may not be read says so', async () => {
    await chmod(join(dir, 'gateway.yaml'), 0);
    expect((await load()).problems[0]?.message).toBe('cannot be read: this user may not read it');
  });
});
