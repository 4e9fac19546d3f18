import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ADDON, loadAddon } from '../../../src/relay/addon.ts';
import { Tidy } from '../../../src/relay/tidy.ts';

const MIB = 1024 * 1024;

/** A process that has started at 80 MiB and is calm. */
function setUp() {
  const done: string[] = [];
  const now = { busy: 0, resident: 80 * MIB };
  const memory = {
    shrinkHeap: () => done.push('shrink') > 0,
    trim: () => done.push('trim') > 0,
  };
  const tidy = new Tidy(memory, { busy: () => now.busy, resident: () => now.resident });
  tidy.start();
  tidy.stop();
  // What starting took stays until there is growth.
  tidy.tick();
  expect(done).toEqual([]);
  return { tidy, now, done };
}

test('growth is given back once the gateway is calm, first V8’s and then malloc’s', () => {
  const { tidy, now, done } = setUp();
  now.resident += 40 * MIB;
  tidy.tick();
  expect(done).toEqual(['shrink']);
  tidy.tick();
  expect(done).toEqual(['shrink', 'trim']);
});

test('nothing is done while the gateway is busy', () => {
  const { tidy, now, done } = setUp();
  now.resident += 40 * MIB;
  now.busy = 0.5;
  tidy.tick();
  expect(done).toEqual([]);
  now.busy = 0.01;
  tidy.tick();
  expect(done).toEqual(['shrink']);
  now.busy = 0.5;
  tidy.tick();
  expect(done).toEqual(['shrink']);
  now.busy = 0.01;
  tidy.tick();
  expect(done).toEqual(['shrink', 'trim']);
});

test('what is left afterwards is in use, and is not collected again', () => {
  const { tidy, now, done } = setUp();
  now.resident += 40 * MIB;
  for (let i = 0; i < 5; i++) tidy.tick();
  expect(done).toEqual(['shrink', 'trim']);
});

test('a storm between a collection and its end has one of its own', () => {
  const { tidy, now, done } = setUp();
  now.resident += 40 * MIB;
  tidy.tick();
  now.resident += 40 * MIB;
  tidy.tick();
  expect(done).toEqual(['shrink', 'trim', 'shrink']);
  tidy.tick();
  tidy.tick();
  expect(done).toEqual(['shrink', 'trim', 'shrink', 'trim']);
});

test('growth has to be 8 MiB and an eighth of what there was', () => {
  const { tidy, now, done } = setUp();
  now.resident += 9.9 * MIB;
  tidy.tick();
  expect(done).toEqual([]);
  now.resident += 0.2 * MIB;
  tidy.tick();
  expect(done).toEqual(['shrink']);
});

test('growth counts from the least there was', () => {
  const { tidy, now, done } = setUp();
  now.resident -= 30 * MIB;
  tidy.tick();
  now.resident += 20 * MIB;
  tidy.tick();
  expect(done).toEqual(['shrink']);
});

test.skipIf(!existsSync(ADDON))('the addon collects in steps and shrinks the heap of this V8', async () => {
  const { shrinkHeap } = loadAddon(ADDON);
  let kept: object[] | null = Array.from({ length: 500_000 }, (_, i) => ({ i }));
  expect(kept).toHaveLength(500_000);
  const before = process.memoryUsage().heapTotal;
  kept = null;
  expect(shrinkHeap()).toBe(true);
  // One that was under way already may keep what was in use when it began.
  const again = setInterval(shrinkHeap, 100);
  await expect
    .poll(() => process.memoryUsage().heapTotal)
    .toBeLessThanOrEqual(before - 8 * MIB)
    .finally(() => clearInterval(again));
});
