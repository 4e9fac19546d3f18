// What terminated sessions carried, by route: plain numbers that outlive sessions and reloads, read when Prometheus
// scrapes. Bytes of live sessions are read from their sockets at that moment.

import { type SlotHandle, SlotSet } from '../../base/slot-set.ts';
import type { Sample, Sampler, SessionActivity } from '../../events.ts';
import type { MessageType } from '../handler.ts';

/** Data messages of one direction. */
export type MessageCounts = Record<MessageType, number>;

/** Bytes of a session so far, frames whole, without its handshake. */
export interface Carrying {
  bytesFromClient(): number;
  bytesToClient(): number;
}

/** What a session has carried; `activeAt` is when its last message came or went, in milliseconds since 1970. */
export function activityOf(
  session: Carrying,
  messages: Readonly<Record<'fromClient' | 'toClient', number>>,
  activeAt: number,
): SessionActivity {
  return {
    fromClient: { bytes: session.bytesFromClient(), messages: messages.fromClient },
    toClient: { bytes: session.bytesToClient(), messages: messages.toClient },
    idleMs: Math.max(0, Date.now() - activeAt),
  };
}

/** The numbers of one route. */
export class RouteMeter {
  readonly fromClient: MessageCounts = { text: 0, binary: 0 };
  readonly toClient: MessageCounts = { text: 0, binary: 0 };
  readonly #live = new SlotSet<Carrying>();
  readonly #handles = new WeakMap<Carrying, SlotHandle<Carrying>>();
  /** Bytes of sessions that have ended. */
  #fromClient = 0;
  #toClient = 0;

  /** Counts a session's bytes from now on. */
  add(session: Carrying): void {
    this.#handles.set(session, this.#live.add(session));
  }

  /** A session has ended: what it carried is kept. */
  remove(session: Carrying): void {
    const handle = this.#handles.get(session);
    if (handle === undefined || !this.#live.remove(handle)) return;
    this.#fromClient += session.bytesFromClient();
    this.#toClient += session.bytesToClient();
  }

  /** Bytes by direction, of ended and live sessions. */
  bytes(): { readonly from_client: number; readonly to_client: number } {
    let [from, to] = [this.#fromClient, this.#toClient];
    for (const session of this.#live) {
      from += session.bytesFromClient();
      to += session.bytesToClient();
    }
    return { from_client: from, to_client: to };
  }
}

export class Meter implements Sampler {
  readonly #routes = new Map<string, RouteMeter>();

  /** The route's numbers: the same ones for as long as the process lives. */
  route(name: string): RouteMeter {
    const known = this.#routes.get(name);
    if (known) return known;
    const meter = new RouteMeter();
    this.#routes.set(name, meter);
    return meter;
  }

  *sample(): Iterable<Sample> {
    for (const [route, meter] of this.#routes) {
      for (const [direction, value] of Object.entries(meter.bytes())) {
        yield { metric: 'websocket_bytes_total', labels: { route, direction }, value };
      }
      const counts = { from_client: meter.fromClient, to_client: meter.toClient };
      for (const [direction, byType] of Object.entries(counts)) {
        for (const [type, value] of Object.entries(byType)) {
          yield { metric: 'websocket_messages_total', labels: { route, direction, type }, value };
        }
      }
    }
  }
}
