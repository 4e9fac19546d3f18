// Two by chance, each as likely as its weight, and of those the one that carries less ("power of two choices"). Several
// gateways in front of the same servers don't all pick the same idle one, as they would by least_connections.
import type { Balancer, Candidate, Random } from './balancer.ts';
import { loadOf } from './least-connections.ts';

/** A balancer by chance; `random` gives numbers from 0 up to 1. */
export function randomTwo(random: Random = Math.random): Balancer {
  return {
    pick<T extends Candidate>(open: readonly T[]): T {
      if (open.length === 1) return open[0] as T;
      const one = draw(open, random);
      const other = draw(
        open.filter((candidate) => candidate !== one),
        random,
      );
      return loadOf(other) < loadOf(one) ? other : one;
    },
  };
}

function draw<T extends Candidate>(open: readonly T[], random: Random): T {
  let point = random() * open.reduce((sum, { share }) => sum + share, 0);
  for (const candidate of open) {
    point -= candidate.share;
    if (point < 0) return candidate;
  }
  return open.at(-1) as T;
}
