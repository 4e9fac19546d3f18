// The relay engine that works everywhere, TLS included: node's sockets carry the bytes, a cursor follows the frames. One
// wheel and one set of listeners serve all tunnels; a chunk passes as it came.
import type { Sample } from '../../events.ts';
import { Counters } from '../counters.ts';
import type { RelayEngine, Tunnel, TunnelEnd, TunnelEnds, TunnelOptions } from '../relay.ts';
import { SharedBuffers } from './buffers.ts';
import { onData } from './side.ts';
import { JsTunnel } from './tunnel.ts';
import { Wheel } from './tunnel-timers.ts';

export class JsRelay implements RelayEngine {
  readonly name = 'js';
  readonly acceptor = null;
  readonly #wheel = new Wheel();
  readonly #buffers = new SharedBuffers(onData);
  readonly #counters = new Counters();

  diallerFor(): null {
    return null;
  }

  open(ends: TunnelEnds, options: TunnelOptions, onEnd: (end: TunnelEnd) => void): Tunnel {
    this.#wheel.refresh();
    const shared = { wheel: this.#wheel, buffers: this.#buffers, counters: this.#counters.of(options.route) };
    const tunnel = new JsTunnel(ends, options, shared, onEnd);
    tunnel.start(ends);
    return tunnel;
  }

  stop(): void {
    // It has no threads.
  }

  sample(): Iterable<Sample> {
    return this.#counters.sample();
  }
}
