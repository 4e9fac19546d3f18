// The relay engine that works everywhere, TLS included: node's sockets carry the bytes, a cursor follows the frames. One
// wheel and one set of listeners serve all tunnels; a chunk passes as it came.
import { TimerWheel } from '../../base/timer-wheel.ts';
import type { Sample } from '../../events.ts';
import { Counters } from '../counters.ts';
import type { RelayEngine, Tunnel, TunnelEnd, TunnelEnds, TunnelOptions } from '../relay.ts';
import { SharedBuffers } from './buffers.ts';
import { onData } from './conn.ts';
import { JsTunnel } from './tunnel.ts';

export class JsRelay implements RelayEngine {
  readonly name = 'js';
  readonly acceptor = null;
  readonly #wheel = new TimerWheel('relay');
  readonly #buffers = new SharedBuffers(onData);
  readonly #counters = new Counters();

  diallerFor(): null {
    return null;
  }

  open(ends: TunnelEnds, options: TunnelOptions, onEnd: (end: TunnelEnd) => void): Tunnel {
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
