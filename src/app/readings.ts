// What the admin API and the status page read of this gateway: three observers of its events, and where the live values are.
import type { ReadSource } from '../admin/read/pages.ts';
import type { StatusSource } from '../admin/read/status.ts';
import type { GatewayEvent } from '../events.ts';
import { RefusalLog } from '../observe/refusals.ts';
import { ServerActivities } from '../observe/server-activity.ts';
import { Totals } from '../observe/totals.ts';
import type { Registry } from '../sessions/registry.ts';

export interface ReadParts extends Omit<StatusSource, 'startedAt' | 'totals' | 'live'> {
  readonly sessions: Registry;
  /** Plain requests under way. */
  readonly requests: () => number;
}

export class Readings {
  readonly #startedAt = Date.now();
  readonly #refusals = new RefusalLog();
  readonly #servers = new ServerActivities();
  readonly #totals = new Totals();

  observe(event: GatewayEvent): void {
    this.#refusals.observe(event);
    this.#servers.observe(event);
    this.#totals.observe(event);
  }

  source({ sessions, requests, ...parts }: ReadParts): ReadSource {
    const startedAt = this.#startedAt;
    return {
      sessions,
      refusals: this.#refusals,
      upstreams: {
        startedAt,
        pools: () => parts.snapshot().pools,
        historyOf: (upstream, server) => this.#servers.of(upstream, server),
      },
      status: {
        ...parts,
        startedAt,
        totals: this.#totals,
        live: () => ({ sessions: sessions.size, requests: requests() }),
      },
    };
  }
}
