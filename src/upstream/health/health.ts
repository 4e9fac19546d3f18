// Which servers of an upstream are up: what the active check and the traffic say, put together. Each change is one event.
// What a change leads to (tunnels closed, traffic moved) is the caller's.
import type { UpstreamConfig } from '../../config/schema/schema.ts';
import type { Emit, ServerChanged } from '../../events.ts';
import type { Server } from '../server.ts';
import type { Outcome } from './breaker.ts';
import { Checker } from './checker.ts';

export type HealthConfig = UpstreamConfig['health'];

export interface HealthOptions {
  readonly upstream: string;
  readonly config: HealthConfig;
  readonly emit: Emit;
  /** Those there are now. */
  readonly servers: () => readonly Server[];
  readonly onDown: (server: Server) => void;
  readonly onUp: (server: Server) => void;
}

/**
 * Whether it is healthy: not failing its check, not ejected, and not kept in use only because no other could take its place.
 * Whether it gets traffic is another question: one that is not healthy still does where none is (pool.ts).
 */
export function isUp({ state }: Server): boolean {
  return state.checked !== false && !state.breaker.out && !state.breaker.failing;
}

export class Health {
  readonly #options: HealthOptions;
  readonly #checker: Checker | null;

  constructor(options: HealthOptions) {
    this.#options = options;
    const { active } = options.config;
    this.#checker =
      active === undefined
        ? null
        : new Checker(active, options.servers, (server, up, detail) => this.#checked(server, up, detail));
  }

  /** Begins to check. What an earlier config found out by means that this one lacks is forgotten. */
  start(): void {
    const { config, servers } = this.#options;
    for (const server of servers()) {
      if (config.passive === 'off') server.state.breaker.reset();
      if (config.active === undefined) server.state.checked = null;
    }
    this.#checker?.start();
  }

  /** Ends all checks, those under way too. */
  stop(): void {
    this.#checker?.stop();
  }

  /** Takes in how a request ended for a server. */
  record(server: Server, outcome: Outcome): void {
    const { passive } = this.#options.config;
    if (passive === 'off') return;
    const { breaker } = server.state;
    const now = performance.now();
    const due = breaker.record(outcome, now, passive);
    if (due === null) {
      if (outcome === 'ok' && breaker.recover()) this.#changed(server, true, 'recovered', 'a request went well');
    } else if (this.#mayEject(server)) {
      const ms = breaker.eject(now, passive);
      this.#changed(server, false, 'ejected', `${due}; out for ${ms / 1000} s`);
    } else if (breaker.keep()) {
      this.#notify(server, 'failing', `${due}; in use all the same, for too few others are healthy`);
    }
  }

  /** Takes in how the one request ended that tried an ejected server. */
  recordTrial(server: Server, outcome: Outcome): void {
    const { passive } = this.#options.config;
    const { breaker } = server.state;
    if (breaker.endTrial(outcome)) this.#changed(server, true, 'returned', 'a request went well');
    else if (passive !== 'off' && breaker.out) breaker.eject(performance.now(), passive);
  }

  /** Whether enough of its kind would be left without it. */
  #mayEject(server: Server): boolean {
    const { config, servers } = this.#options;
    const kind = servers().filter(({ backup, eligible }) => backup === server.backup && eligible);
    const left = kind.filter((other) => other !== server && isUp(other)).length;
    return left >= Math.max(1, Math.ceil(kind.length * config.floor));
  }

  #checked(server: Server, up: boolean, detail: string): void {
    const { state } = server;
    const before = state.checked;
    state.checked = up;
    // Up is what it was taken for before its first check.
    if (before === up || (before === null && up)) return;
    this.#changed(server, up, 'check', detail);
  }

  #changed(server: Server, up: boolean, reason: ServerChanged['reason'], detail: string): void {
    const { onDown, onUp } = this.#options;
    this.#notify(server, reason, detail);
    if (!up) onDown(server);
    else if (isUp(server)) onUp(server);
  }

  #notify(server: Server, reason: ServerChanged['reason'], detail: string): void {
    const { emit, upstream } = this.#options;
    emit({ type: 'server_changed', upstream, server: server.url, up: isUp(server), reason, detail });
  }
}
