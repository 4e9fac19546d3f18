// Whether the time of something grows faster than its input: by processor time, which other programs of a busy machine do
// not change, as a ratio between two sizes, which the speed of the machine does not change.

import { expect, it } from 'vitest';

/** The size at which all is measured: nearly what a request head may have. */
const SIZE = 30 * 1024;

/** Steps up to it, so that what is exponential or cubic is found before it would take for ever; small ones where two characters make four times the time. */
const LADDER = [16, 20, 22, 24, 26, 28, 30, 32, 256, 512, 1024, 2048, 4096];
/** More than this for a step of the ladder is no linear reading, on any machine: not even of cold code. */
const LADDER_US = 500_000;
/** A run that takes this long is measured well by itself. */
const LONG_US = 50_000;
/** Less than this for the whole size is linear, or too little to matter. */
const LITTLE_US = 10_000;
/** Twice the input takes twice the time, or four times where it is quadratic. */
const MOST = 3;
const TRIES = 6;

function costUs(run: () => unknown): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

/** The least of some runs: the collector and the compiler, which may run in one, are no part of it. */
function least(runs: number, run: () => unknown): number {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < runs && best > 0; i++) best = Math.min(best, costUs(run));
  return best;
}

/** What is wrong with how the time of `run` grows with the size of what `make` gives; null where it is linear. */
export function faultOf<T>(make: (size: number) => T, run: (input: T) => unknown, full = SIZE): string | null {
  const at = (size: number, runs: number): number => {
    const input = make(size);
    return least(runs, () => run(input));
  };
  for (const size of LADDER) {
    if (at(size, 1) < LADDER_US) continue;
    const us = at(size, 1);
    if (us >= LADDER_US) return `${us} us for ${size} characters`;
  }
  const first = at(full, 1);
  if (first < LITTLE_US) return null;
  // What takes long is measured well by one run, and would take for ever by many.
  const [half, runs, tries] = first < LONG_US ? [full, 3, TRIES] : [full / 2, 1, 2];
  let ratio = 0;
  for (let i = 0; i < tries; i++) {
    // What the collector adds to many small texts is no more than it was at twice the size; what is quadratic is.
    const size = i < tries / 2 ? half : 2 * half;
    const [one, two] = [at(size, runs), at(2 * size, runs)];
    ratio = two / one;
    if (two < LITTLE_US || ratio < MOST) return null;
  }
  return `${ratio.toFixed(1)} times the time for twice the input`;
}

/** How many times as long `run` takes for the larger size as for the smaller: the first of some tries that is below `most`, or the last. */
export function growthOf(run: (size: number) => unknown, [small, large]: readonly number[], most: number): number {
  let growth = Number.POSITIVE_INFINITY;
  for (let i = 0; i < TRIES && growth >= most; i++)
    growth = least(3, () => run(large as number)) / least(3, () => run(small as number));
  return growth;
}

/** Texts of some size built of pieces: runs of each with another one behind or before it, and each pair in turn. */
export function* fillings(
  pieces: readonly string[],
): Generator<readonly [name: string, fill: (size: number) => string]> {
  const run = (piece: string, size: number) => piece.repeat(Math.max(1, Math.floor(size / piece.length)));
  for (const one of pieces) {
    yield [`${JSON.stringify(one)} again and again`, (size) => run(one, size)];
    for (const other of pieces) {
      if (other === one) continue;
      const names = `${JSON.stringify(one)} and ${JSON.stringify(other)}`;
      yield [`${names} in turn`, (size) => run(one + other, size)];
      yield [`${names} behind it`, (size) => run(one, size) + other];
      yield [`${names} before it`, (size) => other + run(one, size)];
    }
  }
}

/** Something that reads a text of others. */
export interface Parser {
  readonly name: string;
  /** What it separates by, and what stands between. */
  readonly pieces: readonly string[];
  readonly read: (text: string) => unknown;
}

/** A test for each: it takes linear time, whatever its pieces are put together to. */
export function sweep(parsers: readonly Parser[]): void {
  it.each(parsers.map((parser) => [parser.name, parser] as const))(
    '%s is read in linear time',
    { timeout: 120_000 },
    (_, { pieces, read }) => {
      for (const [name, fill] of fillings(pieces)) expect(faultOf(fill, read), name).toBeNull();
    },
  );
}
