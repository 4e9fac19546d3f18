// Moves tunnels to a new or recovered server: servers with more than their share close tunnels one by one with 1012, and as
// many new sessions go to that server first. It ends when the server has its share, within the tolerance.

import { guarded } from '../base/guard.ts';
import type { UpstreamConfig } from '../config/schema/schema.ts';
import { CLOSE_TIMEOUT_MS } from '../handshake/closing.ts';
import { RESTART } from './gradual-close.ts';
import { isUp } from './health/health.ts';
import type { Movable, Server } from './server.ts';

export type RebalanceConfig = NonNullable<UpstreamConfig['rebalance']>;

/** The state that survives a reload. */
interface Moves {
  /** The addresses of the servers that get sessions. */
  readonly towards: Set<string>;
  /** Tunnels that have been sent a Close. */
  readonly closing: WeakSet<Movable>;
}

export class Rebalance {
  readonly #config: RebalanceConfig;
  readonly #servers: () => readonly Server[];
  readonly #moves: Moves;
  #timer: NodeJS.Timeout | undefined;

  /** Takes over the rebalance of an earlier config; `resume` continues it. */
  constructor(config: RebalanceConfig, servers: () => readonly Server[], previous: Rebalance | null = null) {
    this.#config = config;
    this.#servers = servers;
    this.#moves = previous === null ? { towards: new Set(), closing: new WeakSet() } : previous.#moves;
  }

  /** Continues a running rebalance, at this config's rate. */
  resume(): void {
    if (this.#moves.towards.size === 0) return;
    this.#timer ??= setInterval(
      guarded('upstream', () => this.#step()),
      1000 / this.#config.rate,
    );
  }

  /** Starts to move sessions to the server. */
  toward(server: Server): void {
    server.state.pendingMoves = 0;
    this.#moves.towards.add(server.url);
    this.resume();
  }

  /** The server for the next session, if a tunnel was closed for it; else null. */
  due(): Server | undefined {
    if (this.#moves.towards.size === 0) return undefined;
    return this.#servers().find(({ url, state }) => state.pendingMoves > 0 && this.#moves.towards.has(url));
  }

  /** Pauses, so that the pool of another config can take over. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Ends the rebalance and drops all pending moves. */
  abandon(): void {
    this.stop();
    this.#moves.towards.clear();
    for (const { state } of this.#servers()) state.pendingMoves = 0;
  }

  /** Makes at most one move. */
  #step(): void {
    for (const url of this.#moves.towards) {
      const server = this.#servers().find((each) => each.url === url);
      const takes = server !== undefined && receives(server) && server.takes(null, performance.now());
      if (takes && this.#lacks(server)) {
        this.#moveTo(server);
        return;
      }
      // Its pending moves still come, and may leave again.
      if (!takes || server.state.pendingMoves === 0) this.#moves.towards.delete(url);
    }
    if (this.#moves.towards.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** The tunnels that the server would have if all had their share. */
  #partOf(server: Server): number {
    const up = this.#servers().filter(receives);
    const tunnels = up.reduce((sum, { state }) => sum + state.tunnels.size + state.pendingMoves, 0);
    const weights = up.reduce((sum, { weight }) => sum + weight, 0);
    return (tunnels * server.weight) / weights;
  }

  /** Whether the server would have less than its share even with one more. */
  #lacks(server: Server): boolean {
    const { tunnels, pendingMoves } = server.state;
    return tunnels.size + pendingMoves + 1 <= this.#partOf(server) * (1 - this.#config.tolerance);
  }

  /** Closes one tunnel of the server that exceeds its share the most. */
  #moveTo({ url, state }: Server): void {
    let donor: Server | null = null;
    let most = 0;
    for (const each of this.#servers()) {
      const beyond = each.url === url ? 0 : each.state.tunnels.size - this.#partOf(each);
      if (beyond > most) [donor, most] = [each, beyond];
    }
    for (const tunnel of donor?.state.tunnels ?? []) {
      if (this.#moves.closing.has(tunnel)) continue;
      this.#moves.closing.add(tunnel);
      state.pendingMoves++;
      tunnel.close(RESTART, 'rebalance', CLOSE_TIMEOUT_MS);
      return;
    }
  }
}

/** Whether the server is one of those that share the tunnels. */
function receives(server: Server): boolean {
  return !server.backup && server.eligible && isUp(server);
}
