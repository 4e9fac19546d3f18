// Gives memory back once the gateway is calm. A storm of handshakes makes V8's heap grow by what they leave behind, and
// malloc by what compiling took, and both keep it for a next storm: ten times what idle tunnels need. It is not a limit
// and no cache is emptied; what is in use stays.
import { performance } from 'node:perf_hooks';

/** How memory is given back; each says whether it could. */
interface Memory {
  /** Begins a collection, which goes on in steps while the event loop is idle. */
  shrinkHeap(): boolean;
  trim(): boolean;
}

/** What tells when. */
interface Gauges {
  /** The share of time since the last call that the event loop was not waiting, 0 to 1. */
  readonly busy: () => number;
  /** Bytes of the process in memory. */
  readonly resident: () => number;
}

const TICK_MS = 500;
/** Less than this is calm: a collection then delays nobody by more than it would delay itself in a storm. */
const CALM = 0.1;
/** Growth that is worth a collection: so many bytes, and this share of what there was. */
const GROWN_BYTES = 8 * 1024 * 1024;
const GROWN_SHARE = 1 / 8;

export class Tidy {
  readonly #memory: Memory;
  readonly #gauges: Gauges;
  /** The least that was resident since the start or, later, since the last collection began. */
  #least = 0;
  /** A collection has begun and malloc is to follow. */
  #collecting = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(memory: Memory, gauges: Gauges = { busy: compileBusy(), resident: () => process.memoryUsage.rss() }) {
    this.#memory = memory;
    this.#gauges = gauges;
  }

  /**
   * Looks from time to time, and keeps no process alive by it. What starting took is not given back by itself: a heap that
   * is small when the first handshakes come has to grow under them. It goes with the first growth.
   */
  start(): void {
    this.#least = this.#gauges.resident();
    this.#timer = setInterval(() => this.tick(), TICK_MS).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** One look. */
  tick(): void {
    if (this.#gauges.busy() > CALM) return;
    if (this.#collecting) {
      // What the collection has freed of node's own stands free in malloc only now.
      this.#memory.trim();
      this.#collecting = false;
    }
    const resident = this.#gauges.resident();
    this.#least = Math.min(this.#least, resident);
    if (resident - this.#least < Math.max(GROWN_BYTES, this.#least * GROWN_SHARE)) return;
    this.#collect();
  }

  #collect(): void {
    // Never less than what is in use; what comes before the trim counts as growth.
    this.#least = this.#gauges.resident();
    this.#memory.shrinkHeap();
    this.#collecting = true;
  }
}

function compileBusy(): () => number {
  let before = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    return utilization;
  };
}
