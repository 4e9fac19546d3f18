import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { type SlotHandle, SlotSet } from '../../../src/base/slot-set.ts';

describe('a roster', () => {
  it('has everyone who was added and has not left', () => {
    const roster = new SlotSet<string>();
    const places = ['a', 'b', 'c', 'd'].map((member) => roster.add(member));
    expect(roster.remove(places[1]!)).toBe(true);
    expect([...roster].sort()).toEqual(['a', 'c', 'd']);
    expect(roster.size).toBe(3);
    expect(roster.remove(places[3]!)).toBe(true);
    expect(roster.remove(places[0]!)).toBe(true);
    expect(roster.members()).toEqual(['c']);
  });

  it('lets everyone leave once', () => {
    const roster = new SlotSet<string>();
    const [a, b] = [roster.add('a'), roster.add('a')];
    expect([roster.remove(a), roster.remove(a)]).toEqual([true, false]);
    expect(roster.size).toBe(1);
    expect([roster.remove(b), roster.remove(b)]).toEqual([true, false]);
    expect(roster.size).toBe(0);
  });

  it('may be gone through while everyone leaves', () => {
    const roster = new SlotSet<number>();
    const places = [1, 2, 3].map((member) => roster.add(member));
    const seen: number[] = [];
    for (const member of roster) {
      seen.push(member);
      for (const place of places) roster.remove(place);
    }
    expect(seen).toEqual([1, 2, 3]);
  });

  // What a young collection leaves is what can still be reached, from what is old too.
  it('keeps nothing of those who have left, although it is old itself', () => {
    const roster = new SlotSet<object>();
    const set = new Set<object>();
    const ofRoster = kept<SlotHandle<object>>(
      (member) => roster.add(member),
      (place) => roster.remove(place),
    );
    const ofSet = kept<object>(
      (member) => set.add(member) && member,
      (member) => set.delete(member),
    );
    expect(ofRoster).toBeLessThan(3_000_000);
    expect(ofSet).toBeGreaterThan(5_000_000);
  });
});

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as (options?: { type: 'minor' }) => void;

/** Bytes that stay of 20,000 members of 800 bytes, of which the newest twenty live. */
function kept<P>(add: (member: object) => P, leave: (place: P) => void): number {
  const live: P[] = [];
  for (let i = 0; i < 5; i++) add({});
  for (let i = 0; i < 3; i++) gc();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 20_000; i++) {
    live.push(add({ i, bulk: new Array(100).fill(i) }));
    if (live.length > 20) leave(live.shift() as P);
  }
  for (let i = 0; i < 2; i++) gc({ type: 'minor' });
  return process.memoryUsage().heapUsed - before;
}
