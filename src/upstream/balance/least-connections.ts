// The one that carries least for its weight; among equals, each in turn.
import type { Balancer, Candidate } from './balancer.ts';
import { roundRobin } from './round-robin.ts';

/** What a server would carry for its part with one more, so that of two idle ones the heavier comes first. */
export function loadOf({ live, share }: Candidate): number {
  return (live + 1) / share;
}

/** A balancer by live connections. */
export function leastConnections(): Balancer {
  const equals = roundRobin();
  return {
    pick<T extends Candidate>(open: readonly T[]): T {
      let least = Number.POSITIVE_INFINITY;
      let found: T[] = [];
      for (const candidate of open) {
        const load = loadOf(candidate);
        if (load < least) {
          least = load;
          found = [candidate];
        } else if (load === least) {
          found.push(candidate);
        }
      }
      return found.length === 1 ? (found[0] as T) : equals.pick(found, () => null);
    },
  };
}
