// Which servers of an upstream are up: what the active check and the traffic say, put together. Each change is one event.
// What a change leads to (tunnels closed, traffic moved) is the caller's.
import type { UpstreamConfig } from '../../config/schema.ts';
import type { Emit } from '../../events.ts';
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

/** Whether it is up: not failing its check, not ejected. */
export function isUp({ state }: Server): boolean {
  return state.checked !== false && !state.breaker.out;
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
    if (due === null || !this.#canSpare(server)) return;
    const ms = breaker.eject(now, passive);
    this.#changed(server, false, 'ejected', `${due}; out for ${ms} ms`);
  }

  /** Takes in how the one request ended that tried an ejected server. */
  recordTrial(server: Server, outcome: Outcome): void {
    const { passive } = this.#options.config;
    const { breaker } = server.state;
    if (breaker.endTrial(outcome)) this.#changed(server, true, 'returned', 'a request went well');
    else if (passive !== 'off' && breaker.out) breaker.eject(performance.now(), passive);
  }

  /** Whether enough of its kind would be left without it. */
  #canSpare(server: Server): boolean {
    const { config, servers } = this.#options;
    const kind = servers().filter(({ backup }) => backup === server.backup);
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

  #changed(server: Server, up: boolean, reason: 'check' | 'ejected' | 'returned', detail: string): void {
    const { emit, onDown, onUp, upstream } = this.#options;
    emit({ type: 'server_changed', upstream, server: server.url, up: isUp(server), reason, detail });
    if (!up) onDown(server);
    else if (isUp(server)) onUp(server);
  }
}
