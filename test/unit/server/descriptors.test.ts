// Telling that descriptors run out, by the number that the system gave a connection.
import { spawnSync } from 'node:child_process';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { compileCrowded, readDescriptorLimit } from '../../../src/server/descriptors.ts';

const withDescriptor = (fd?: number) => ({ _handle: fd === undefined ? null : { fd } }) as unknown as Socket;

describe('a connection is crowded', () => {
  it.each([
    ['of a large limit', 65_536, 65_472],
    ['of a small one', 256, 224],
    ['of one too small for a reserve', 7, 7],
  ])('with one of the last descriptors %s', (_, limit, first) => {
    const crowded = compileCrowded(limit);
    expect(crowded(withDescriptor(first - 1))).toBe(false);
    expect(crowded(withDescriptor(first))).toBe(true);
    expect(crowded(withDescriptor(limit))).toBe(true);
  });

  it('never where the limit is not known, or the connection is gone', () => {
    expect(compileCrowded(null)(withDescriptor(1_000_000))).toBe(false);
    expect(compileCrowded(256)(withDescriptor())).toBe(false);
    expect(compileCrowded(256)({} as Socket)).toBe(false);
  });
});

describe('the limit of this process', () => {
  it.runIf(process.platform === 'linux')('is the soft one', () => {
    const { stdout } = spawnSync('/bin/sh', ['-c', 'ulimit -n'], { encoding: 'utf8' });
    expect(readDescriptorLimit()).toBe(stdout.trim() === 'unlimited' ? null : Number(stdout));
  });
});
