// The long run of `npm run fuzz`: searches each target that is asked for, for as long as is asked for. Guided by coverage.
import { expect, it } from 'vitest';
import { search } from './search.ts';
import { keepInput } from './target.ts';
import { TARGETS } from './targets.ts';

const wanted = (process.env['FUZZ_TARGETS'] ?? '').split(',').filter((name) => name !== '');
const seconds = Number(process.env['FUZZ_SECONDS'] ?? 60);
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 32);
const keep = process.env['FUZZ_KEEP'] === '1';

it.each(
  TARGETS.filter(({ name }) => wanted.length === 0 || wanted.includes(name)).map(
    (target) => [target.name, target] as const,
  ),
)('%s', { timeout: seconds * 2000 + 120_000 }, async (name, target) => {
  const until = performance.now() + seconds * 1000;
  const found = await search(target, {
    seed,
    guided: true,
    over: () => performance.now() >= until,
    ...(keep ? { kept: (input: Buffer) => void keepInput(name, 'kept', input) } : {}),
  });
  console.log(
    `${name}: ${found.runs} runs in ${seconds} s, seed ${seed}; ${found.covered} characters of src covered, ${found.outcomes} outcomes, ${found.corpus} inputs`,
  );
  expect(found.runs).toBeGreaterThan(0);
});
