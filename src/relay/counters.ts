// What an engine has carried, per route, as plain numbers that the hot path adds to; read when Prometheus scrapes.
import type { Sample } from '../events.ts';

export class DirectionCounters {
  bytes = 0;
  text = 0;
  binary = 0;
  /** How often it could be followed no further. */
  lost = 0;
}

export class RouteCounters {
  readonly fromClient = new DirectionCounters();
  readonly toClient = new DirectionCounters();
  readonly pings = { sent: 0, pong: 0, timeout: 0 };
  readonly route: string;

  constructor(route: string) {
    this.route = route;
  }

  *sample(): Iterable<Sample> {
    const { route } = this;
    for (const [direction, counters] of [
      ['from_client', this.fromClient],
      ['to_client', this.toClient],
    ] as const) {
      yield { metric: 'websocket_bytes_total', labels: { route, direction }, value: counters.bytes };
      for (const type of ['text', 'binary'] as const) {
        yield { metric: 'websocket_messages_total', labels: { route, direction, type }, value: counters[type] };
      }
      yield { metric: 'websocket_lost_directions_total', labels: { route, direction }, value: counters.lost };
    }
    for (const result of ['sent', 'pong', 'timeout'] as const) {
      yield { metric: 'websocket_pings_total', labels: { route, result }, value: this.pings[result] };
    }
  }
}

/** All routes an engine has carried; a route stays, so that its series never falls. */
export class Counters {
  readonly #routes = new Map<string, RouteCounters>();

  of(route: string): RouteCounters {
    let counters = this.#routes.get(route);
    if (counters === undefined) {
      counters = new RouteCounters(route);
      this.#routes.set(route, counters);
    }
    return counters;
  }

  *sample(): Iterable<Sample> {
    for (const counters of this.#routes.values()) yield* counters.sample();
  }
}
