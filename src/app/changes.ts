// What operators change through the admin API while the gateway runs, beside its config. Every reload leaves it as it is, and a
// restart undoes it.
import type { Changes, CloseOrder, SetServer } from '../admin/change-operations.ts';
import type { LogLevel } from '../config/schema/schema.ts';
import type { Emit } from '../events.ts';
import { PacedClose } from '../sessions/paced-close.ts';
import type { Registry } from '../sessions/registry.ts';
import type { Pool } from '../upstream/pool.ts';
import type { ServerOverride, ServerOverrides, SetState } from '../upstream/server-overrides.ts';

export interface ChangesOptions {
  readonly pools: () => ReadonlyMap<string, Pool>;
  readonly overrides: ServerOverrides;
  readonly sessions: Registry;
  readonly emit: Emit;
  /** Makes this the lowest level of the log. */
  readonly setLogLevel: (level: LogLevel) => void;
  readonly configuredLogLevel: () => LogLevel;
  readonly reload: Changes['reload'];
  readonly drain: Changes['drain'];
}

/** Sessions that are being closed at a pace. */
export interface ClosingNow {
  readonly filter: Readonly<Record<string, string>>;
  /** Those that were not asked yet. */
  readonly left: number;
  readonly rate: number;
}

export interface ChangesInForce {
  /** Null: the config's. */
  readonly logLevel: LogLevel | null;
  readonly servers: readonly ServerOverride[];
  readonly closing: readonly ClosingNow[];
}

interface Closing {
  readonly order: CloseOrder;
  readonly paced: PacedClose;
}

/** Orders to close that are carried out at a time. */
const MAX_CLOSING = 16;

export class RuntimeChanges implements Changes {
  readonly reload: Changes['reload'];
  readonly drain: Changes['drain'];
  readonly #options: ChangesOptions;
  readonly #closing = new Set<Closing>();
  #logLevel: LogLevel | null = null;

  constructor(options: ChangesOptions) {
    this.#options = options;
    this.reload = options.reload;
    this.drain = options.drain;
  }

  /** For `/status`. */
  inForce(): ChangesInForce {
    const closing = [...this.#closing].map(({ order, paced }) => ({
      filter: order.filter,
      left: paced.left,
      rate: order.rate,
    }));
    return { logLevel: this.#logLevel, servers: this.#options.overrides.all(), closing };
  }

  /** The level that is set; the config's where none is. */
  logLevel(configured: LogLevel): LogLevel {
    return this.#logLevel ?? configured;
  }

  setLogLevel(level: LogLevel | null): { readonly level: LogLevel; readonly configured: LogLevel } {
    const configured = this.#options.configuredLogLevel();
    this.#logLevel = level;
    // Said on either side of the change, whichever level lets it through.
    this.#notice('the level of the log was set', { level: level ?? configured });
    this.#options.setLogLevel(level ?? configured);
    this.#notice('the level of the log was set', { level: level ?? configured });
    return { level: level ?? configured, configured };
  }

  setServer(upstream: string, server: string, set: SetState): SetServer {
    const pool = this.#options.pools().get(upstream);
    if (pool === undefined) return { known: [...this.#options.pools().keys()], missing: 'upstream' };
    const closing = pool.set(server, set);
    if (closing === null) return { known: pool.servers.map(({ url }) => url), missing: 'server' };
    this.#notice('a server was set by hand', { upstream, server, state: set, closing });
    return { closing, missing: null };
  }

  closeSessions(order: CloseOrder): number | null {
    if (this.#closing.size >= MAX_CLOSING) return null;
    const found = this.#options.sessions.sessions().filter(order.fits);
    const { code, reason, rate } = order;
    let closing: Closing | null = null;
    const forget = (): void => void (closing !== null && this.#closing.delete(closing));
    closing = { order, paced: new PacedClose(found, { code, reason, rate, onDone: forget }) };
    if (closing.paced.left > 0) this.#closing.add(closing);
    this.#notice('sessions are closed by hand', { ...order.filter, sessions: found.length, rate, code });
    return found.length;
  }

  /** Nothing goes on at the end of the process. */
  stop(): void {
    for (const { paced } of this.#closing) paced.stop();
    this.#closing.clear();
  }

  #notice(message: string, data: Readonly<Record<string, string | number>>): void {
    this.#options.emit({ type: 'notice', level: 'info', message: `${message}, until the next restart`, data });
  }
}
