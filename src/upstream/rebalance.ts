// Moving tunnels to a server that came or came back: others that carry more than their part close one after the other with
// 1012, and as many new sessions go to it first. It ends when the server has its part, within the tolerance.

import { guarded } from '../base/guard.ts';
import type { UpstreamConfig } from '../config/schema/schema.ts';
import { CLOSE_TIMEOUT_MS } from '../handshake/closing.ts';
import { RESTART } from './gradual-close.ts';
import { isUp } from './health/health.ts';
import type { Movable, Server } from './server.ts';

export type RebalanceConfig = NonNullable<UpstreamConfig['rebalance']>;

/** What outlasts a reload. */
interface Moves {
  /** The addresses of servers that are to get more. */
  readonly towards: Set<string>;
  /** Tunnels that were asked to close. */
  readonly closing: WeakSet<Movable>;
}

export class Rebalance {
  readonly #config: RebalanceConfig;
  readonly #servers: () => readonly Server[];
  readonly #moves: Moves;
  #timer: NodeJS.Timeout | undefined;

  /** Takes over what an earlier config has begun; it goes on with `resume`. */
  constructor(config: RebalanceConfig, servers: () => readonly Server[], previous: Rebalance | null = null) {
    this.#config = config;
    this.#servers = servers;
    this.#moves = previous === null ? { towards: new Set(), closing: new WeakSet() } : previous.#moves;
  }

  /** Goes on with what is under way, at this config's pace. */
  resume(): void {
    if (this.#moves.towards.size === 0) return;
    this.#timer ??= setInterval(
      guarded('upstream', () => this.#step()),
      1000 / this.#config.rate,
    );
  }

  /** The server is to get its part. */
  toward(server: Server): void {
    server.state.pendingMoves = 0;
    this.#moves.towards.add(server.url);
    this.resume();
  }

  /** The server that the next session goes to because another one was closed for it, if there is one. */
  due(): Server | undefined {
    if (this.#moves.towards.size === 0) return undefined;
    return this.#servers().find(({ url, state }) => state.pendingMoves > 0 && this.#moves.towards.has(url));
  }

  /** Pauses; another one may take over. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Nothing is to be moved any more, and no server has pending moves. */
  abandon(): void {
    this.stop();
    this.#moves.towards.clear();
    for (const { state } of this.#servers()) state.pendingMoves = 0;
  }

  /** One move at most. */
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

  /** The tunnels that a server would carry if all had their part. */
  #partOf(server: Server): number {
    const up = this.#servers().filter(receives);
    const tunnels = up.reduce((sum, { state }) => sum + state.tunnels.size + state.pendingMoves, 0);
    const weights = up.reduce((sum, { weight }) => sum + weight, 0);
    return (tunnels * server.weight) / weights;
  }

  /** Whether it would still have less than its part with one more. */
  #lacks(server: Server): boolean {
    const { tunnels, pendingMoves } = server.state;
    return tunnels.size + pendingMoves + 1 <= this.#partOf(server) * (1 - this.#config.tolerance);
  }

  /** Closes one tunnel of the server that carries most beyond its part. */
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

/** Whether it is one of those that share the tunnels. */
function receives(server: Server): boolean {
  return !server.backup && server.eligible && isUp(server);
}
