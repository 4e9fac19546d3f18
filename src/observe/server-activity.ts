// What went on with each server: how often it is asked, its last error, since when it is as it is and why. The state that decides
// where traffic goes is the pool's own (upstream/); this is what an operator wants to know beside it.
import { EventRate } from '../base/event-rate.ts';
import type { GatewayEvent, ServerChanged, ServerRef } from '../events.ts';

export interface ServerError {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly reason: string;
  readonly detail: string;
}

export interface ServerActivity {
  /** Since the start. */
  handshakes: number;
  requests: number;
  errors: number;
  ejections: number;
  lastError: ServerError | null;
  /** The last change of its health; null: none since the start. */
  lastChange: (Pick<ServerChanged, 'up' | 'reason' | 'detail'> & { readonly at: number }) | null;
  readonly handshakeRate: EventRate;
  readonly requestRate: EventRate;
}

/** Servers come and go with DNS and reloads: past so many those that were heard of first, of the upstream heard of first, are forgotten. */
const MOST = 10_000;

export class ServerActivities {
  /** By upstream and server. Not by both in one text, which would be put together and hashed for each request. */
  readonly #upstreams = new Map<string, Map<string, ServerActivity>>();
  /** Servers of all upstreams. */
  #size = 0;

  /** Null: nothing was heard of it. */
  of(upstream: string, server: string): ServerActivity | null {
    return this.#upstreams.get(upstream)?.get(server) ?? null;
  }

  observe(event: GatewayEvent): void {
    switch (event.type) {
      case 'session_opened':
      case 'handshake_passed':
      case 'handshake_failed':
        if (event.at !== null) countHandshake(this.#at(event.at));
        break;
      case 'request_completed':
        if (event.at !== null) countRequest(this.#at(event.at));
        break;
      case 'upstream_failed': {
        const activity = this.#at(event);
        activity.errors++;
        activity.lastError = { at: Date.now(), reason: event.reason, detail: event.detail };
        break;
      }
      case 'server_changed': {
        const activity = this.#at(event);
        const { up, reason, detail } = event;
        if (reason === 'ejected') activity.ejections++;
        activity.lastChange = { at: Date.now(), up, reason, detail };
      }
    }
  }

  #at({ upstream, server }: ServerRef): ServerActivity {
    const known = this.#upstreams.get(upstream)?.get(server);
    if (known !== undefined) return known;
    if (this.#size >= MOST) this.#forgetOne();
    const activity: ServerActivity = {
      ...{ handshakes: 0, requests: 0, errors: 0, ejections: 0, lastError: null, lastChange: null },
      ...{ handshakeRate: new EventRate(), requestRate: new EventRate() },
    };
    const servers = this.#upstreams.get(upstream) ?? new Map<string, ServerActivity>();
    this.#upstreams.set(upstream, servers.set(server, activity));
    this.#size++;
    return activity;
  }

  #forgetOne(): void {
    for (const [upstream, servers] of this.#upstreams) {
      const [oldest = ''] = servers.keys();
      servers.delete(oldest);
      if (servers.size === 0) this.#upstreams.delete(upstream);
      this.#size--;
      return;
    }
  }
}

function countHandshake(activity: ServerActivity): void {
  activity.handshakes++;
  activity.handshakeRate.add(performance.now());
}

function countRequest(activity: ServerActivity): void {
  activity.requests++;
  activity.requestRate.add(performance.now());
}
