// The decision as a whole: any head at any table is accepted or refused by a documented reason, and nothing throws.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { wantsWebSocket } from '../../src/handshake/handshake.ts';
import { REJECTIONS } from '../../src/handshake/rejection.ts';
import { decide, type Verdict } from '../../src/routing/decide.ts';
import { compileTable } from '../../src/routing/table.ts';
import { always, anyHead, matchConfig, numRuns } from '../support/arbitraries.ts';
import { configOf, http, splice, terminate } from '../support/heads.ts';

const rules = fc.record(
  {
    origins: fc.constantFrom('any', 'same-host', ['https://example.com', 'http://*.example.com', 'null']),
    missing_origin: fc.constantFrom('allow', 'reject'),
    versions: fc.constantFrom([13], [8], [8, 13]),
    subprotocols: fc.constantFrom(['a'], ['b', 'a']),
    subprotocol_required: fc.boolean(),
  },
  { requiredKeys: [] },
);
const kinds = fc.oneof(
  rules.map(splice),
  rules.map(terminate),
  fc.constant(http),
  rules.map((of) => ({ ...splice(of), ...http })),
);
const tables = fc
  .array(fc.tuple(matchConfig, kinds), { minLength: 1, maxLength: 5 })
  .map((routes) => routes.map(([match, kind], i) => ({ name: `r${i}`, match, ...kind })))
  // A last route that takes everything, so that most heads get that far.
  .chain((routes) => kinds.map((kind) => [...routes, { name: 'last', ...kind }]))
  .map((routes) => compileTable(configOf(routes)).table);

/** What must hold of every verdict. */
function judge(verdict: Verdict, websocket: boolean): unknown {
  if (verdict.kind === 'reject') {
    const { reason, status, detail, fields } = verdict.rejection;
    expect(REJECTIONS[reason].status).toBe(status);
    expect(detail).not.toBe('');
    expect(fields.length % 2).toBe(0);
    if (status === 426) expect(fields.slice(0, 2)).toEqual(['Upgrade', 'websocket']);
    if (status === 405) expect(fields).toContain('Allow');
    return undefined;
  }
  if (verdict.kind === 'respond') return expect(verdict.status).toBe(204);
  expect(verdict.kind === 'forward').toBe(!websocket);
  if (verdict.kind === 'forward') return expect(verdict.route.http).not.toBeNull();
  const { route, handshake } = verdict;
  expect(route.websocket.config.mode).toBe(verdict.kind);
  expect(route.websocket.versions).toContain(handshake.version);
  const allowed = route.websocket.subprotocols.subprotocols;
  if (allowed) expect(allowed).toEqual(expect.arrayContaining([...handshake.offer]));
  if (handshake.origin === null) expect(route.websocket.missingOrigin).toBe('allow');
  return undefined;
}

it('accepts, or refuses by a documented reason; never throws, and the trace changes nothing', () => {
  const seen = new Map<string, number>();
  always(fc.tuple(tables, fc.array(anyHead, { minLength: 5, maxLength: 5 })), ([table, heads]) => {
    for (const head of heads) {
      const verdict = decide(table, head, head.peer);
      judge(verdict, wantsWebSocket(head));
      const traced = decide(table, head, head.peer, ({ rule, detail }) => expect([rule, detail]).not.toContain(''));
      expect(traced).toEqual(verdict);
      const outcome = verdict.kind === 'reject' ? verdict.rejection.reason : verdict.kind;
      seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
    }
  });
  // The heads must not all fail at the first gate, else this would test little.
  if (numRuns >= 300)
    expect([...seen.keys()]).toEqual(
      expect.arrayContaining(['splice', 'terminate', 'forward', 'origin', 'key', 'malformed', 'version']),
    );
});
