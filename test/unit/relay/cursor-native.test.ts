// The C cursor (addon.c's) against the shared vectors at every split, and against the TypeScript cursor over random
// streams: one machine, written twice. Skipped where there is no C compiler.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { follow, type Told } from '../../support/cursor.ts';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'cursor-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const program = join(dir, 'cursor-drive');
const compiled = compile();

function compile(): boolean {
  if (spawnSync('cc', ['--version'], { stdio: 'ignore' }).error) return false;
  const sources = [here('../../fuzz/cursor-drive.c'), here('../../../src/relay/native/c/cursor.c')];
  execFileSync('cc', ['-std=c11', '-O1', '-Wall', '-Wextra', '-Werror', '-o', program, ...sources]);
  return true;
}

interface Case {
  stream: Buffer;
  cuts: readonly number[];
}
interface Vector extends Told {
  name: string;
  input: (string | { fill: string; count: number })[];
}

/** What the C cursor tells of each case. */
function drive(cases: readonly Case[]): Told[] {
  const input = cases.map(({ stream, cuts }) =>
    Buffer.concat([Buffer.from(Uint32Array.from([stream.length, cuts.length, ...cuts]).buffer), stream]),
  );
  const output = execFileSync(program, { input: Buffer.concat(input), maxBuffer: 1 << 30 }).toString();
  return output
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Told);
}

describe.skipIf(!compiled)('the C cursor', () => {
  const { vectors } = JSON.parse(readFileSync(here('../../fixtures/cursor-vectors.json'), 'utf8')) as {
    vectors: Vector[];
  };

  it.each(vectors.map((vector) => [vector.name, vector] as const))('%s', (_name, vector) => {
    const stream = Buffer.concat(
      vector.input.map((part) =>
        typeof part === 'string' ? Buffer.from(part, 'hex') : Buffer.alloc(part.count, part.fill, 'hex'),
      ),
    );
    const near = stream.length > 2_000 ? 24 : stream.length;
    const points = Array.from({ length: stream.length + 1 }, (_, i) => i);
    const cases = points
      .filter((cut) => cut <= near || cut >= stream.length - near)
      .map((cut) => ({ stream, cuts: [cut] }));
    if (stream.length <= 2_000) cases.push({ stream, cuts: points });
    for (const [i, told] of drive(cases).entries()) {
      expect(told, `cut at ${cases[i]?.cuts.join(' ')}`).toEqual({ events: vector.events, end: vector.end });
    }
  });

  it('agrees with the TypeScript cursor on random streams, however they are split', () => {
    const stream = fc.array(frames, { maxLength: 12 }).map((parts) => Buffer.concat(parts));
    const noise = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
    const one = fc
      .tuple(
        fc.oneof({ weight: 4, arbitrary: stream }, { weight: 1, arbitrary: noise }),
        fc.array(fc.nat(), { maxLength: 20 }),
      )
      .map(([bytes, points]) => ({
        stream: bytes,
        cuts: points.map((n) => n % (bytes.length + 1)).sort((a, b) => a - b),
      }));
    fc.assert(
      fc.property(fc.array(one, { minLength: 60, maxLength: 100 }), (cases) => {
        expect(drive(cases)).toEqual(cases.map(({ stream, cuts }) => follow(stream, cuts)));
      }),
      { numRuns: 30 },
    );
  });
});

/** Frames of every form, whole or not, valid or not. */
const frames = fc
  .record({
    first: fc.oneof(fc.constantFrom(0x81, 0x82, 0x01, 0x00, 0x80, 0x88, 0x89, 0x8a), fc.integer({ min: 0, max: 255 })),
    masked: fc.boolean(),
    form: fc.constantFrom(7, 16, 64),
    length: fc.integer({ min: 0, max: 400 }),
    high: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 0x80, 1),
    cut: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 20 }) }),
  })
  .map(({ first, masked, form, length, high, cut }) => {
    const bit = masked ? 128 : 0;
    const size = form === 7 ? Math.min(length, 125) : length;
    const wide = form === 16 ? [126, size >> 8, size & 255] : [127, high, 0, 0, 0, 0, 0, size >> 8, size & 255];
    const [second = 0, ...more] = form === 7 ? [size] : wide;
    const head = Buffer.from([first, bit | second, ...more, ...(masked ? [9, 8, 7, 6] : [])]);
    const whole = Buffer.concat([head, Buffer.alloc(size, first)]);
    return whole.subarray(0, whole.length - Math.min(cut, whole.length));
  });
