// The servers of one upstream with their live counts, and the picking of one. A pool outlives a reload as long as its
// upstream stays the same, so that least_connections goes on counting.
import type { UpstreamConfig } from '../config/schema.ts';
import type { Sample } from '../events.ts';
import { type Balancer, leastConnections, roundRobin } from './balance.ts';

/** One address of an upstream. */
export interface Server {
  readonly upstream: string;
  /** The address as in the config: the `server` label of metrics and logs. */
  readonly url: string;
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
  /** Sessions and requests it carries now. */
  live: number;
}

const BALANCERS: Record<UpstreamConfig['balance'], () => Balancer> = {
  round_robin: roundRobin,
  least_connections: leastConnections,
};

export class Pool {
  readonly name: string;
  readonly servers: readonly Server[];
  readonly #balancer: Balancer;

  constructor(name: string, config: UpstreamConfig) {
    this.name = name;
    this.servers = config.servers.map((address) => ({ upstream: name, ...address, live: 0 }));
    this.#balancer = BALANCERS[config.balance]();
  }

  /** The next server by the balancer's rule, leaving out those already tried; null where none is left. */
  pick(tried: ReadonlySet<Server> = new Set()): Server | null {
    const open = tried.size === 0 ? this.servers : this.servers.filter((server) => !tried.has(server));
    return open.length === 0 ? null : this.#balancer.pick(open);
  }

  /** Counts one more session or request on the server; the release counts it off, once. */
  acquire(server: Server): () => void {
    server.live++;
    let held = true;
    return () => {
      if (held) server.live--;
      held = false;
    };
  }

  *sample(): Iterable<Sample> {
    for (const server of this.servers) {
      yield { metric: 'upstream_connections', labels: { upstream: this.name, server: server.url }, value: server.live };
    }
  }
}
