// The first line of defence. What node, a library, the addon or Redis calls is entered through guarded(): whatever is thrown
// there costs the connection or exchange that it served, one line in the log and one in
// `gateway_internal_errors_total{where}`, and never the process. Which callbacks those are: docs/relay.md, "Two lines of
// defence". The second line, for what escapes all the same, is app/lifecycle.ts.
import { channel } from 'node:diagnostics_channel';

/** For what may happen and needs no handling, such as the `error` of a socket whose end `close` reports. */
export function ignore(): void {}

/** Where a defect showed: the values of the metric's label. */
export const WHERE = [
  'connection', // accepting, a PROXY preamble, TLS, a head that could not be read
  'request', // a plain request
  'handshake', // a WebSocket handshake, up to its 101
  'relay', // a spliced session
  'websocket', // a terminated session
  'rooms',
  'redis',
  'webhook',
  'auth',
  'upstream', // connections to servers, probes, names, balancing
  'admin',
  'config', // reloads, and what watches files
  'limits',
  'drain',
  'events', // metrics and the log themselves
  'process', // what escaped: the gateway drains and ends
] as const;

export type Where = (typeof WHERE)[number];

/** Something unexpected was thrown. */
export interface Defect {
  readonly where: Where;
  readonly thrown: unknown;
  /** The id of the request or session that it served; null where there is none, or it is unknown. */
  readonly id: string | null;
}

/**
 * A channel of the process, as node has them for reports of this kind: a callback that throws must be able to report it
 * from anywhere, without holding a reference for it.
 */
const DEFECTS = channel('upgate:internal_error');

/** Reports a defect whose cost has been dealt with already. Never throws. */
export function reportDefect(where: Where, thrown: unknown, id: string | null = null): void {
  const defect: Defect = { where, thrown, id };
  DEFECTS.publish(defect);
}

/** Calls `listener` with each defect, until what is returned is called. */
export function onDefect(listener: (defect: Defect) => void): () => void {
  const subscriber = (message: unknown): void => listener(message as Defect);
  DEFECTS.subscribe(subscriber);
  return () => void DEFECTS.unsubscribe(subscriber);
}

/**
 * `callback`, so that it can't throw: what it throws, or rejects with, is reported under `where`. `onBroken` then ends
 * what the callback served, and gets its arguments; what that throws is reported too.
 */
export function guarded<A extends readonly unknown[]>(
  where: Where,
  callback: (...args: A) => void | Promise<void>,
  onBroken: (...args: A) => void = ignore,
): (...args: A) => void {
  const broke = (thrown: unknown, args: A): void => {
    reportDefect(where, thrown);
    try {
      onBroken(...args);
    } catch (further) {
      reportDefect(where, further);
    }
  };
  return (...args) => {
    try {
      const pending = callback(...args);
      if (pending !== undefined) pending.then(undefined, (thrown: unknown) => broke(thrown, args));
    } catch (thrown) {
      broke(thrown, args);
    }
  };
}

/** Handles the end of work that nobody awaits: a rejection is reported under `where`, and then `onBroken` is called. */
export function background(where: Where, work: Promise<unknown>, onBroken: () => void = ignore): void {
  work.then(
    undefined,
    guarded(
      where,
      (thrown: unknown) => {
        throw thrown;
      },
      onBroken,
    ),
  );
}
