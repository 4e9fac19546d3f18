// Listeners that all streams share: a stream has whose it is as a property, so that none needs closures of its own. They were
// a third of what an idle WebSocket over HTTP/2 holds.
import type { ServerHttp2Stream } from 'node:http2';
import { guarded, type Where } from '../../base/guard.ts';

/** Makes listeners for streams with an owner of one kind. */
export class StreamListeners<Owner> {
  readonly #key = Symbol('owner');
  readonly #where: Where;
  readonly #onBroken: (owner: Owner) => void;

  /** What a listener throws is reported under `where`; `onBroken` then ends what the stream served. */
  constructor(where: Where, onBroken: (owner: Owner) => void) {
    this.#where = where;
    this.#onBroken = onBroken;
  }

  /** Sets whose stream it is, before it gets a listener. */
  own(stream: ServerHttp2Stream, owner: Owner): void {
    (stream as unknown as Record<symbol, Owner>)[this.#key] = owner;
  }

  /** A listener that calls `step` with the owner of the stream and what the event brings. */
  make<A extends unknown[]>(step: (owner: Owner, ...args: A) => void): (this: ServerHttp2Stream, ...args: A) => void {
    const key = this.#key;
    const enter = guarded<[Owner, ...A]>(this.#where, step, (...args) => this.#onBroken(args[0]));
    return function entered(this: ServerHttp2Stream, ...args: A): void {
      enter((this as unknown as Record<symbol, Owner>)[key] as Owner, ...args);
    };
  }
}
