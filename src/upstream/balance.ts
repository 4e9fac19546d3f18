// Which server takes the next session or request. A balancer sees only the servers it may pick from.

/** What a balancer knows of a server. */
export interface Candidate {
  readonly live: number;
}

/** One rule of picking; `open` is never empty. */
export interface Balancer {
  pick<T extends Candidate>(open: readonly T[]): T;
}

/** Each in turn. */
export function roundRobin(): Balancer {
  let turn = 0;
  return {
    pick<T>(open: readonly T[]): T {
      const picked = open[turn % open.length] as T;
      turn = (turn + 1) % Number.MAX_SAFE_INTEGER;
      return picked;
    },
  };
}

/** The one with the fewest live sessions and requests; among equals, each in turn. */
export function leastConnections(): Balancer {
  const equals = roundRobin();
  return {
    pick<T extends Candidate>(open: readonly T[]): T {
      const fewest = Math.min(...open.map((candidate) => candidate.live));
      return equals.pick(open.filter((candidate) => candidate.live === fewest));
    },
  };
}
