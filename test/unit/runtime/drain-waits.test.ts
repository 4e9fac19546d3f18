// What a person who stops the gateway by hand is told.
import { expect, it } from 'vitest';
import { waitsFor } from '../../../src/app/drain-gateway.ts';

const drain = { delay: 0, grace: 30_000 };

it.each([
  [{ sessions: 1, requests: 0 }, drain, 'waits up to 30 s for 1 session to end'],
  [{ sessions: 12, requests: 1 }, drain, 'waits up to 30 s for 12 sessions and 1 request to end'],
  [{ sessions: 0, requests: 2 }, drain, 'waits up to 30 s for 2 requests to end'],
  [{ sessions: 0, requests: 0 }, { delay: 5000, grace: 500 }, 'waits up to 6 s for balancers to notice (drain.delay)'],
])('of %o', (live, config, words) => {
  expect(waitsFor(config, live)).toBe(`Draining: ${words}. Once more (Ctrl-C) ends it at once.`);
});

it('nothing, where nothing is waited for', () => {
  expect(waitsFor(drain, { sessions: 0, requests: 0 })).toBeNull();
});
