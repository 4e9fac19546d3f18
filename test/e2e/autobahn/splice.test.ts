// Every case against a backend of `ws`, directly and through the gateway: the same verdict, and the same bytes, whatever
// the backend makes of it.
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADDON } from '../../../src/relay/native/addon.ts';
import type { Gateway } from '../../support/gateway.ts';
import { type Case, FULL } from './case.ts';
import { BAD_OFFERS, deflateRuns } from './deflate.ts';
import { type Run, runCase } from './driver.ts';
import { GROUPS, SIMPLEST } from './groups.ts';
import { type Backend, startBackend, startSplicing } from './stand.ts';

const ENGINES = existsSync(ADDON) ? (['js', 'native'] as const) : (['js'] as const);
let backend: Backend;
const gateways: Gateway[] = [];
beforeAll(async () => {
  backend = await startBackend();
  for (const engine of ENGINES) gateways.push(await startSplicing(engine, backend));
});
afterAll(async () => {
  for (const gateway of gateways) await gateway.stop();
  backend.close();
});

/** Where the bytes begin to differ, or null. */
function differenceOf(one: Buffer, other: Buffer): string | null {
  if (one.equals(other)) return null;
  const at = one.findIndex((byte, i) => byte !== other[i]);
  return `${one.length} and ${other.length} bytes, different from ${at}: ${one.toString('hex', at, at + 20)}`;
}

async function compare(of: Case, path: string, offer?: string): Promise<Run> {
  const at = (port: number) => runCase(of, { port, path, ...(offer === undefined ? {} : { offer }) });
  const [direct, ...through] = await Promise.all([at(backend.port), ...gateways.map(({ port }) => at(port))]);
  const seen = ({ verdict, transcript: { bytes, ...rest } }: Run) => ({
    verdict,
    ...rest,
    difference: differenceOf(bytes, direct.transcript.bytes),
  });
  for (const [i, run] of through.entries()) expect(seen(run), `through ${ENGINES[i]}`).toEqual(seen(direct));
  return direct;
}

const named = (cases: readonly Case[]) => cases.map((of) => [of.id, of.what, of] as const);

const TIMEOUT_MS = FULL ? 600_000 : 60_000;

describe.each(GROUPS)('%s', { timeout: TIMEOUT_MS }, (_group, cases) => {
  it.each(named(cases))('%s %s', async (_id, _what, of) => {
    expect((await compare(of, '/')).transcript.status).toBe(101);
  });
});

describe.each(deflateRuns)('$offer', { timeout: TIMEOUT_MS }, ({ offer, cases }) => {
  it.each(named(cases))('%s %s', async (_id, _what, of) => {
    expect((await compare(of, '/deflate', offer)).transcript.extensions).not.toBeNull();
  });
});

describe('an offer that can not be kept', () => {
  it.each(BAD_OFFERS)('%s is answered by the backend', async (offer) => {
    await compare(SIMPLEST, '/deflate', offer);
  });
});
