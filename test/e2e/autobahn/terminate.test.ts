// Every case against a route that echoes: right on each, with compression agreed on and without. What ws leaves to the end of
// a message where the RFC would have it fail at once is the only thing that is not strict.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Gateway } from '../../support/gateway.ts';
import { type Case, FULL } from './case.ts';
import { BAD_OFFERS, deflateRuns } from './deflate.ts';
import { runCase, type Verdict } from './driver.ts';
import { GROUPS, SIMPLEST } from './groups.ts';
import { startTerminating } from './stand.ts';

let gateway: Gateway;
beforeAll(async () => {
  gateway = await startTerminating();
});
afterAll(() => gateway.stop());

/** RFC 6455 §8.1 lets a server look at a text when it is whole, as ws does. */
const LATE = new Set(['6.4.1', '6.4.2', '6.4.3', '6.4.4']);
/** RSV1 alone has a meaning once compression is agreed on; deflate.ts has what may be done with it. */
const PLAIN_ONLY = new Set(['3.4']);

const right = (of: Case): Verdict => ({
  behaviour: of.informational ? 'INFORMATIONAL' : LATE.has(of.id) ? 'NON-STRICT' : 'OK',
  close: of.informational ? 'INFORMATIONAL' : 'OK',
  why: '',
});

const named = (cases: readonly Case[]) => cases.map((of) => [of.id, of.what, of] as const);

const TIMEOUT_MS = FULL ? 600_000 : 60_000;

describe.each(GROUPS)('%s', { timeout: TIMEOUT_MS }, (_group, cases) => {
  it.each(named(cases))('%s %s', async (_id, _what, of) => {
    const { verdict } = await runCase(of, { port: gateway.port, path: '/' });
    expect(verdict).toEqual(right(of));
  });
  it('all of them with compression agreed on', async () => {
    for (const of of cases) {
      if (PLAIN_ONLY.has(of.id)) continue;
      const { verdict, transcript } = await runCase(of, {
        port: gateway.port,
        path: '/deflate',
        offer: 'permessage-deflate',
      });
      expect([of.id, transcript.extensions, verdict]).toEqual([
        of.id,
        expect.stringMatching(/^permessage-deflate/),
        right(of),
      ]);
    }
  });
});

describe.each(deflateRuns)('$offer', { timeout: TIMEOUT_MS }, ({ offer, cases, declined }) => {
  it.each(named(cases))('%s %s', async (_id, _what, of) => {
    const { verdict, transcript } = await runCase(of, { port: gateway.port, path: '/deflate', offer });
    expect(verdict).toEqual(right(of));
    if (declined === undefined) expect(transcript.extensions).toMatch(/^permessage-deflate/);
  });
});

describe('an offer that can not be kept', () => {
  it.each(BAD_OFFERS)('%s is declined', async (offer) => {
    const { verdict, transcript } = await runCase(SIMPLEST, { port: gateway.port, path: '/deflate', offer });
    expect([verdict, transcript.extensions]).toEqual([right(SIMPLEST), null]);
  });
});
