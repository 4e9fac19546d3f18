import { describe, expect, it, vi } from 'vitest';
import { listConnections } from '../../../../src/admin/read/connections.ts';
import type { Session } from '../../../../src/sessions/registry.ts';
import { SessionRate } from '../../../../src/sessions/session-rate.ts';
import { sessionOf } from '../../../support/sessions.ts';

/** Session number i has carried i bytes each way. */
const sessionNumber = (i: number, changed: Partial<Session> = {}): Session =>
  sessionOf({
    id: `s${i}`,
    serial: i,
    route: i % 2 === 0 ? 'even' : 'odd',
    activity: () => ({ fromClient: { bytes: i, messages: 1 }, toClient: { bytes: i, messages: null }, idleMs: 1000 }),
    ...changed,
  });

const listOf = (sessions: readonly Session[]) => ({ sessions: () => sessions });
const MANY = listOf(Array.from({ length: 250 }, (_, i) => sessionNumber((i * 37) % 250)));

async function ask(query: string, list = MANY) {
  const { status, body } = await listConnections(list, new URLSearchParams(query));
  return { status, ...JSON.parse(String(body)) };
}
const idsOf = (page: { connections: { id: string }[] }) => page.connections.map(({ id }) => id);

describe('the list of connections', () => {
  it('has the newest first, a hundred of them, and every one once over all pages', async () => {
    const seen: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page = await ask(cursor === '' ? '' : `cursor=${cursor}`);
      expect(page.connections.length).toBeLessThanOrEqual(100);
      expect(page.total).toBe(250);
      seen.push(...idsOf(page));
      cursor = page.next;
    }
    expect(seen).toEqual(Array.from({ length: 250 }, (_, i) => `s${249 - i}`));
  });

  it.each(['bytes', 'opened'])('sorts by %s, either way, and goes on where a page ended', async (sort) => {
    const first = await ask(`sort=${sort}&order=asc&limit=3`);
    expect(idsOf(first)).toEqual(['s0', 's1', 's2']);
    expect(idsOf(await ask(`sort=${sort}&order=asc&limit=3&cursor=${first.next}`))).toEqual(['s3', 's4', 's5']);
    expect(idsOf(await ask(`sort=${sort}&limit=2`))).toEqual(['s249', 's248']);
  });

  it('filters by route, server, address range and text', async () => {
    const at = { upstream: 'app', server: 'ws://10.0.0.9:1' };
    const list = listOf([sessionNumber(1, { client: '10.1.2.3' }), sessionNumber(2, { at, user: 'Ann' })]);
    expect(idsOf(await ask('route=even', list))).toEqual(['s2']);
    expect(idsOf(await ask('address=10.0.0.0/8', list))).toEqual(['s1']);
    expect(idsOf(await ask('server=ws://10.0.0.9:1', list))).toEqual(['s2']);
    expect(idsOf(await ask('search=ann', list))).toEqual(['s2']);
    expect(await ask('search=nobody', list)).toMatchObject({ matching: 0, connections: [], next: null });
  });

  it('gives bytes, messages, age and rate of each, and null where frames are not followed', async () => {
    const [found] = (await ask('limit=1')).connections;
    expect(found).toMatchObject({ bytes_in: 249, bytes_out: 249, messages_in: 1, messages_out: null, idle_seconds: 1 });
  });

  it.each([
    ['limit=0', /limit/],
    ['limit=1001', /limit/],
    ['sort=color', /sort is one of/],
    ['order=up', /order/],
    ['cursor=x', /cursor/],
    ['colour=red', /none of/],
    ['address=nowhere', /IP address/],
    ['route=a&route=b', /twice/],
  ])('refuses %s', async (query, detail) => {
    expect(await ask(query)).toMatchObject({ status: 400, reason: 'malformed', detail: expect.stringMatching(detail) });
  });

  it('looks at a few hundred of a hundred thousand, then lets the event loop go round', async () => {
    // A millisecond passes from one look at the clock to the next.
    let now = 0;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now++);
    let [seen, most, turns] = [0, 0, 0];
    const activity = () => {
      seen++;
      return { fromClient: { bytes: seen, messages: 1 }, toClient: { bytes: 0, messages: 1 }, idleMs: 0 };
    };
    const turn = () => {
      [most, seen, turns] = [Math.max(most, seen), 0, turns + 1];
      next = setImmediate(turn);
    };
    let next = setImmediate(turn);
    const list = listOf(Array.from({ length: 100_000 }, (_, i) => sessionNumber(i, { activity })));
    const page = await ask('sort=idle&limit=100', list);
    clearImmediate(next);
    clock.mockRestore();
    expect([page.matching, page.connections[0].id]).toEqual([100_000, 's99999']);
    // The clock is looked at once in 64 sessions; the page of 100 is described at the end.
    expect(most).toBeLessThanOrEqual(6 * 64 + 100);
    expect(turns).toBeGreaterThan(100_000 / (6 * 64) - 1);
  });
});

describe('the rate of a session', () => {
  it('is the average since it was opened, then that between two looks a second apart', () => {
    const rate = new SessionRate(0);
    expect(rate.look(4000, 4000)).toBe(1000);
    expect(rate.look(9000, 4500)).toBe(1000);
    expect(rate.look(9000, 6000)).toBe(2500);
    expect(rate.look(9000, 8000)).toBe(0);
  });
});
