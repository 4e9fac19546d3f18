import { mkdir, mkdtemp, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { GatewayEvent } from '../../../src/events.ts';
import { digest, digestOf, type FileWatch, type WatchOptions, watchFiles } from '../../../src/runtime/watch.ts';

let root: string;
let dir: string;
let file: string;
const open: FileWatch[] = [];
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'upgate-'));
  dir = join(root, 'etc');
  file = join(dir, 'gateway.yaml');
  await mkdir(dir);
  await writeFile(file, 'one');
});
afterEach(async () => {
  for (const watch of open.splice(0)) watch.close();
  await rm(root, { recursive: true });
});

/** A watch whose changes are awaited one by one. The poll is put out of reach, so that only events can tell. */
async function watching(options: Partial<WatchOptions> = {}) {
  let count = 0;
  let wake = () => {};
  const events: GatewayEvent[] = [];
  const watch = await watchFiles({
    files: new Map([[file, await digestOf(file)]]),
    emit: (event) => events.push(event),
    debounceMs: 20,
    pollMs: 3_600_000,
    ...options,
    onChange: () => {
      count++;
      wake();
    },
  });
  open.push(watch);
  return {
    watch,
    events,
    changes: () => count,
    /** Resolves once there have been `total` changes. */
    async changed(total: number) {
      while (count < total) await new Promise<void>((resolve) => (wake = resolve));
      expect(count).toBe(total);
    },
  };
}

describe('watchFiles', () => {
  test('tells of a file written in place', async () => {
    const { changed } = await watching();
    await writeFile(file, 'two');
    await changed(1);
    await writeFile(file, 'three');
    await changed(2);
  });

  test('tells of a file renamed over it, as editors do', async () => {
    const { changed } = await watching();
    for (const [index, text] of ['two', 'three'].entries()) {
      await writeFile(join(dir, '.gateway.yaml.swp'), text);
      await rename(join(dir, '.gateway.yaml.swp'), file);
      await changed(index + 1);
    }
  });

  test('tells of a file moved away and written anew, as vim does', async () => {
    const { changed } = await watching();
    await rename(file, `${file}~`);
    await writeFile(file, 'two');
    await rm(`${file}~`);
    await changed(1);
  });

  test('tells of the swap of a ConfigMap: ..data is renamed, the link in its place stays', async () => {
    const version = async (name: string, text: string) => {
      await mkdir(join(dir, name));
      await writeFile(join(dir, name, 'gateway.yaml'), text);
      await symlink(name, join(dir, '..data_tmp'));
      await rename(join(dir, '..data_tmp'), join(dir, '..data'));
    };
    await version('..2030_01', 'one');
    await rm(file);
    await symlink('..data/gateway.yaml', file);
    const { changed } = await watching();
    await version('..2030_02', 'two');
    await rm(join(dir, '..2030_01'), { recursive: true });
    await changed(1);
    await version('..2030_03', 'three');
    await rm(join(dir, '..2030_02'), { recursive: true });
    await changed(2);
  });

  test('says nothing of the same content, of a touch, of other files, or of a file that vanished', async () => {
    const { changed, changes } = await watching();
    await writeFile(file, 'one');
    await utimes(file, new Date(0), new Date(0));
    await writeFile(join(dir, 'other.yaml'), 'other');
    await rm(file);
    await writeFile(file, 'one');
    expect(changes()).toBe(0);
    // The next real change is the first that is told.
    await writeFile(file, 'two');
    await changed(1);
  });

  test('takes a burst of writes as one change', async () => {
    const { changed, changes } = await watching({ debounceMs: 200 });
    for (let index = 0; index < 20; index++) await writeFile(file, `burst ${index}`);
    await changed(1);
    await writeFile(file, 'after');
    await changed(2);
    expect(changes()).toBe(2);
  });

  test('is not put off for ever by a directory where something is always written', async () => {
    const { changed } = await watching({ debounceMs: 50 });
    await writeFile(file, 'two');
    let told = false;
    const change = changed(1).then(() => {
      told = true;
    });
    while (!told) await writeFile(join(dir, 'busy.log'), String(Math.random()));
    await change;
  });

  test('tells at once of what changed between the reading of the served text and the watch', async () => {
    const { changes } = await watching({ files: new Map([[file, digest('zero')]]) });
    expect(changes()).toBe(1);
    const same = await watching({ files: new Map([[file, digest('one')]]) });
    expect(same.changes()).toBe(0);
  });

  test('lives through the disappearance of its directory', async () => {
    const { changed } = await watching({ pollMs: 20 });
    await rm(dir, { recursive: true });
    await mkdir(dir);
    await writeFile(file, 'two');
    await changed(1);
    await rename(dir, join(root, 'away'));
    await mkdir(dir);
    await writeFile(file, 'three');
    await changed(2);
    await writeFile(file, 'four');
    await changed(3);
  });

  test('finds by polling what no event tells of: a link whose target lies elsewhere', async () => {
    const target = join(root, 'target.yaml');
    await writeFile(target, 'one');
    await rm(file);
    await symlink(target, file);
    const { changed } = await watching({ pollMs: 20 });
    await writeFile(target, 'two');
    await changed(1);
  });

  test('begins where there is no file yet', async () => {
    await rm(dir, { recursive: true });
    const { changed } = await watching({ pollMs: 20 });
    await mkdir(dir);
    await writeFile(file, 'one');
    await changed(1);
  });

  test('follows files in several directories, and others from then on', async () => {
    const [cert, next] = [join(root, 'tls.crt'), join(root, 'next.crt')];
    await writeFile(cert, 'a');
    await writeFile(next, 'a');
    const files = new Map([
      [file, await digestOf(file)],
      [cert, await digestOf(cert)],
    ]);
    const { changed, watch } = await watching({ files });
    await writeFile(cert, 'b');
    await changed(1);
    await writeFile(file, 'two');
    await changed(2);
    // A change that nobody has heard of yet is told though the list has become another; what is new counts as it was read.
    await writeFile(file, 'three');
    watch.follow(
      new Map([
        [file, digest('three')],
        [next, digest('a')],
      ]),
    );
    await changed(3);
    await writeFile(cert, 'nobody asks');
    await writeFile(next, 'c');
    await changed(4);
  });

  test('tells of a file that was not there when the list was made', async () => {
    const late = join(root, 'late', 'tls.crt');
    const { changed } = await watching({ files: new Map([[late, null]]), pollMs: 20 });
    await mkdir(join(root, 'late'));
    await writeFile(late, 'here');
    await changed(1);
  });

  test('is silent once closed', async () => {
    const first = await watching();
    const second = await watching();
    first.watch.close();
    await writeFile(file, 'two');
    await second.changed(1);
    expect(first.changes()).toBe(0);
    expect(first.events).toEqual([]);
  });
});
