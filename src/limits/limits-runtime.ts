// The limits' state for as long as the process lives: admission, its ramp, and the rates that are shared with other
// gateways. The limits themselves come from the config, with each request.
import type { Config } from '../config/schema/schema.ts';
import type { Emit, GatewayEvent, Sample, Sampler } from '../events.ts';
import { Admission } from './admission.ts';
import type { Limits } from './limits.ts';
import { Ramp } from './ramp.ts';
import { openSharedRates, type RedisRates } from './redis-rates.ts';

export class LimitsRuntime implements Sampler {
  readonly admission: Admission;
  readonly #ramp = new Ramp();
  #shared: RedisRates | null = null;
  #limits: Limits | null = null;
  #emit: Emit | null = null;

  constructor() {
    this.admission = new Admission({ ramp: this.#ramp, shared: () => this.#shared });
  }

  /**
   * Makes what the first config needs; it begins to work with start(). Rejects where a package that it needs is not
   * installed.
   */
  async open(config: Config, emit: Emit): Promise<void> {
    this.#emit = emit;
    this.#shared = await openSharedRates(config, emit);
  }

  /** The first config serves. */
  start(): void {
    this.#shared?.start();
    this.#ramp.start();
  }

  /** This config serves from now on. */
  configure({ limits: { ramp } }: Config, limits: Limits): void {
    this.#ramp.configure(ramp ?? null);
    this.#limits = limits;
  }

  observe(event: GatewayEvent): void {
    if (!this.#ramp.observe(event)) return;
    const message = 'many sessions were lost at once; handshakes are admitted little by little';
    this.#emit?.({ type: 'notice', level: 'warn', message });
  }

  /** What does not work, in a few words; null where all works. */
  degraded(): string | null {
    return this.#shared?.degraded() ?? null;
  }

  *sample(): Iterable<Sample> {
    yield* this.#ramp.sample();
    if (this.#shared !== null) yield* this.#shared.sample();
    if (this.#limits !== null) yield* this.#limits.sample();
  }

  close(): void {
    this.#shared?.close();
  }
}
