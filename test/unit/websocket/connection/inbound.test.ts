// What a client may send, by the limits of its route.
import { describe, expect, it } from 'vitest';
import { MemoryBudget } from '../../../../src/base/memory-budget.ts';
import { schema } from '../../../../src/config/schema/schema.ts';
import { Inbound, type InboundLimits } from '../../../../src/websocket/connection/inbound.ts';
import { SessionMemory } from '../../../../src/websocket/connection/session-memory.ts';
import { buildFrame, MASK, OPCODE } from '../../../support/frames.ts';

const KIB = 1024;

function stand(limits: InboundLimits, mostInflated = 0) {
  const budget = new MemoryBudget(100 * KIB);
  const ended: string[] = [];
  const owner = {
    close: (code: number, reason: string) => ended.push(`${code} ${reason}`),
    cut: (reason: string) => ended.push(`cut ${reason}`),
  };
  const inbound = new Inbound({ limits, mostInflated, sendQueue: { memory: new SessionMemory(budget) } }, owner);
  return { inbound, budget, ended };
}

const fragment = (payload: string, opcode: number = OPCODE.binary) =>
  buildFrame({ opcode, payload, fin: false, mask: MASK });
const last = buildFrame({ opcode: OPCODE.continuation, payload: '', mask: MASK });

it('100,000 messages a second are the most where the config says nothing', () => {
  const config = schema.parse({
    listeners: [{ port: 0 }],
    routes: [{ name: 'local', websocket: { mode: 'terminate', handler: 'echo' } }],
  });
  const limits = config.routes[0]!.websocket!.limits;
  const inbound = stand({ ...limits, most_held: 1 }).inbound;
  for (let n = 0; n < 100_000; n++) expect(inbound.count(1, 16, 0)).toBeNull();
  expect(inbound.count(1, 16, 0)).toBe('rate_limit');
  expect(inbound.count(1, 16, 1)).toBeNull();
});

it('empty fragments are messages to the limits, and a message may hold so much', () => {
  const inbound = stand({ messages_per_second: 2, most_held: 100 }).inbound;
  const begin = buildFrame({ opcode: OPCODE.text, payload: 'x', fin: false, mask: MASK });
  const empty = buildFrame({ opcode: OPCODE.continuation, payload: '', fin: false, mask: MASK });
  expect(inbound.chunk(Buffer.concat([begin, empty, empty]), 0)).toBeNull();
  expect(inbound.chunk(empty, 0)).toBe('rate_limit');
  expect(inbound.chunk(buildFrame({ opcode: OPCODE.pong, payload: 'x'.repeat(100), mask: MASK }), 0)).toBe(
    'too_many_parts',
  );
});

describe('what has come of a message that is not whole', () => {
  const MUCH = { most_held: 2 ** 30 };

  it('counts in the budget of all sessions until it is, or until the session is over', () => {
    const { inbound, budget } = stand(MUCH);
    inbound.chunk(fragment('x'.repeat(10 * KIB)), 0);
    expect(budget.used).toBeGreaterThan(10 * KIB);
    expect(budget.used).toBeLessThan(11 * KIB);
    inbound.chunk(last, 0);
    expect(budget.used).toBe(0);
    inbound.chunk(fragment('x'.repeat(10 * KIB)), 0);
    inbound.close();
    expect(budget.used).toBe(0);
    inbound.chunk(fragment('x', OPCODE.continuation), 0);
    expect(budget.used).toBe(0);
  });

  it('counts each chunk with what it costs beside its bytes', () => {
    const { inbound, budget } = stand(MUCH);
    inbound.chunk(fragment('x'), 0);
    for (let n = 0; n < 99; n++) inbound.chunk(fragment('x', OPCODE.continuation), 0);
    expect(budget.used).toBeGreaterThan(100 * 200);
  });

  it('counts fragments that were inflated as large as they can be, and a message as large as it may be', () => {
    const { inbound, budget } = stand(MUCH, 50 * KIB);
    const whole = fragment('x'.repeat(10));
    inbound.chunk(whole.subarray(0, 12), 0);
    expect(budget.used).toBeLessThan(KIB);
    inbound.chunk(whole.subarray(12), 0);
    expect(budget.used).toBeGreaterThan(10 * KIB);
    inbound.chunk(fragment('x'.repeat(100), OPCODE.continuation), 0);
    expect(budget.used).toBeGreaterThan(50 * KIB);
    expect(budget.used).toBeLessThan(52 * KIB);
  });

  it('ends the session where it is too much for the budget, and counts no more', () => {
    const { inbound, budget, ended } = stand(MUCH);
    inbound.chunk(fragment('x'.repeat(99 * KIB)), 0);
    expect(ended).toEqual([]);
    inbound.chunk(fragment('x'.repeat(KIB), OPCODE.continuation), 0);
    expect(ended).toEqual(['1013 queues_full', 'cut queues_full']);
    expect(budget.used).toBe(0);
  });
});
