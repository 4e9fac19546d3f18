// Servers whose state an operator has set, by upstream and address: kept for as long as the process lives, over all configs, also
// those that lack the server. The config knows nothing of it.

/** `drain`: nothing new, and its tunnels are closed at a pace; `down`: the same, at once. */
export const SERVER_STATES = ['up', 'drain', 'down'] as const;
export type SetState = (typeof SERVER_STATES)[number];

export interface ServerOverride {
  readonly upstream: string;
  readonly server: string;
  readonly state: Exclude<SetState, 'up'>;
  /** Milliseconds since 1970. */
  readonly since: number;
}

export class ServerOverrides {
  readonly #set = new Map<string, ServerOverride>();

  /** Of a server that nothing was set for it is `up`. */
  stateOf(upstream: string, server: string): SetState {
    return this.#set.get(keyOf(upstream, server))?.state ?? 'up';
  }

  /** Milliseconds since 1970; null where nothing is set. */
  sinceOf(upstream: string, server: string): number | null {
    return this.#set.get(keyOf(upstream, server))?.since ?? null;
  }

  set(upstream: string, server: string, state: SetState): void {
    const key = keyOf(upstream, server);
    if (state === 'up') this.#set.delete(key);
    else this.#set.set(key, { upstream, server, state, since: Date.now() });
  }

  all(): ServerOverride[] {
    return [...this.#set.values()];
  }
}

/** Names of upstreams hold no blanks. */
function keyOf(upstream: string, server: string): string {
  return `${upstream} ${server}`;
}
