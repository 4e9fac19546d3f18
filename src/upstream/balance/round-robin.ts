// Each in turn, by weight. A heavy server's turns are spread between those of the others (nginx calls it "smooth weighted
// round-robin"), so that no server gets a burst.
import type { Balancer, Candidate } from './balancer.ts';

/** A balancer by turns. */
export function roundRobin(): Balancer {
  // How far each is behind its due; one that stays keeps its place when the list around it changes.
  const credits = new WeakMap<object, number>();
  return {
    pick<T extends Candidate>(open: readonly T[]): T {
      let best = open[0] as T;
      let most = Number.NEGATIVE_INFINITY;
      let total = 0;
      for (const candidate of open) {
        const credit = (credits.get(candidate) ?? 0) + candidate.share;
        credits.set(candidate, credit);
        total += candidate.share;
        if (credit <= most) continue;
        most = credit;
        best = candidate;
      }
      credits.set(best, most - total);
      return best;
    },
  };
}
