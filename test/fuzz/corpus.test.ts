// Every input that is kept, through its target: what once broke a promise keeps it from now on. Then as many changed ones
// as take no time to speak of; `npm run fuzz` goes on from there.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { search } from './search.ts';
import { type Check, readCorpus } from './target.ts';
import { TARGETS } from './targets.ts';

describe.each(TARGETS.map((target) => [target.name, target] as const))('%s', (name, target) => {
  let opened: { check: Check; close(): void };
  beforeAll(async () => {
    opened = await target.open();
  });
  afterAll(() => opened.close());

  it.each(readCorpus(name))('%s', async (_file, input) => {
    expect(await opened.check(input)).toEqual(expect.any(String));
  });
  it('and inputs like these', async () => {
    const runs = Number(process.env['FUZZ_RUNS'] ?? 300);
    const found = await search(target, { seed: 1, guided: false, over: (done) => done >= runs });
    expect(found.runs).toBeGreaterThanOrEqual(runs);
    expect(found.outcomes).toBeGreaterThan(3);
  });
});
