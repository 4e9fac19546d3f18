// Which engine carries a tunnel: the native one wherever it is there and can take both sockets, the js one for the rest.
import type { Sample } from '../events.ts';
import type { Acceptor } from '../net/acceptor.ts';
import type { Dialler } from '../net/dialler.ts';
import type { Connection } from '../net/fd-connection.ts';
import { JsRelay } from './js/js.ts';
import { NativeRelay } from './native/native.ts';
import type { RelayEngine, Tunnel, TunnelEnd, TunnelEnds, TunnelOptions } from './relay.ts';

/** Plain sockets go to the native engine, all others to the js engine. */
export class MixedRelay implements RelayEngine {
  readonly name = 'native';
  readonly #native: NativeRelay;
  readonly #js = new JsRelay();

  constructor(native: NativeRelay) {
    this.#native = native;
  }

  get acceptor(): Acceptor {
    return this.#native.acceptor;
  }

  diallerFor(client: Connection): Dialler | null {
    return this.#native.diallerFor(client);
  }

  open(ends: TunnelEnds, options: TunnelOptions, onEnd: (end: TunnelEnd) => void): Tunnel {
    const taken = this.#native.canTake(ends.client, ends.backend) ? this.#native.tryOpen(ends, options, onEnd) : null;
    return taken ?? this.#js.open(ends, options, onEnd);
  }

  stop(): void {
    this.#native.stop();
  }

  /** One series a label set: what both engines have carried of it. */
  sample(): Iterable<Sample> {
    const sums = new Map<string, Sample>();
    for (const relay of [this.#native, this.#js]) {
      for (const sample of relay.sample()) {
        const key = `${sample.metric} ${JSON.stringify(sample.labels)}`;
        sums.set(key, { ...sample, value: sample.value + (sums.get(key)?.value ?? 0) });
      }
    }
    return sums.values();
  }
}

export interface OpenedRelay {
  readonly relay: RelayEngine;
  /** Why the js engine serves although the native one was asked for, or null. */
  readonly fallback: string | null;
}

/**
 * Opens the engine of `relay: { engine, threads }`. `auto` takes the native one where it is there; `native` asks for it
 * and still gets the js one, with the reason in `fallback`, where it is not: a gateway without its addon must serve.
 */
export function openRelay(engine: 'auto' | 'native' | 'js', threads: number | 'auto'): OpenedRelay {
  if (engine === 'js') return { relay: new JsRelay(), fallback: null };
  try {
    return { relay: new MixedRelay(new NativeRelay(threads)), fallback: null };
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n')[0] : String(error);
    return { relay: new JsRelay(), fallback: `the native relay does not load: ${why}` };
  }
}
