// When very many clients come at once (after a start, or when many sessions were lost together) handshakes are admitted
// at a rate that rises, so that the reconnects overload neither backends nor the gateway. The others get a time to
// retry after, each its own.
//
// At the share x of its time the ramp admits rate / (1 - x) per second: the rate at first, twice that after half of the time,
// ten times after nine tenths, and everything at the end. So no crowd waits for the end of the ramp.
import type { Config } from '../config/schema/schema.ts';
import type { GatewayEvent, Sample, Sampler } from '../events.ts';
import { Window } from '../upstream/health/window.ts';

export type RampConfig = NonNullable<Config['limits']['ramp']>;

/** Milliseconds within which many ended sessions count as a mass close. */
const MASS_MS = 1000;
/** Milliseconds for which unused admissions are kept. */
const KEPT_MS = 100;

export class Ramp implements Sampler {
  readonly #closes = new Window(MASS_MS);
  readonly #now: () => number;
  #config: RampConfig | null = null;
  /** When it started; null: it does not run. */
  #since: number | null = null;
  /** Handshakes admitted since the start of the ramp. */
  #taken = 0;
  /** The last place in the line that was given to a refused handshake. */
  #promised = 0;

  /** `now` in milliseconds of a clock that never goes back. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Sets the config; a running ramp goes on, unless the new config has none. */
  configure(config: RampConfig | null): void {
    this.#config = config;
    if (config === null) this.#since = null;
  }

  /** Starts or restarts the ramp. */
  start(): void {
    if (this.#config === null) return;
    this.#since = this.#now();
    this.#taken = 0;
    this.#promised = 0;
  }

  /** Takes an event. Many sessions that end at once without their clients' Close start a ramp; then it returns true. */
  observe(event: GatewayEvent): boolean {
    if (this.#config === null || event.type !== 'session_closed') return false;
    if (event.initiator === 'client' && !event.cut) return false;
    const now = this.#now();
    this.#closes.add(false, now);
    const { closes = this.#config.rate } = this.#config;
    if (this.#closes.sums(now).all < closes || this.#young(now)) return false;
    this.start();
    return true;
  }

  /** Whether a handshake may be admitted now. */
  open(): boolean {
    const at = this.#at();
    return at === null || this.#level(at) >= 0;
  }

  /** Counts one admitted handshake. */
  take(): void {
    const at = this.#at();
    if (at !== null) this.#taken = at.given - this.#level(at) + 1;
  }

  /**
   * For a refused handshake: milliseconds until its place in the line, which is after all handshakes that were refused
   * before.
   */
  promise(): number {
    const at = this.#at();
    if (at === null) return 0;
    this.#promised = Math.max(this.#promised, at.given) + 1;
    const { rate, over } = at.config;
    return Math.max(0, over * (1 - Math.exp((-this.#promised * 1000) / (rate * over))) - at.age);
  }

  *sample(): Iterable<Sample> {
    if (this.#config !== null) yield { metric: 'ramp_active', labels: {}, value: this.#at() === null ? 0 : 1 };
  }

  /** The progress of the ramp; null: none runs. */
  #at(): { config: RampConfig; age: number; given: number } | null {
    if (this.#config === null || this.#since === null) return null;
    const { rate, over } = this.#config;
    const age = this.#now() - this.#since;
    if (age >= over) {
      this.#since = null;
      return null;
    }
    return { config: this.#config, age, given: ((-rate * over) / 1000) * Math.log(1 - age / over) };
  }

  /** How many may be admitted at once; less than 0: none. */
  #level({ config: { rate, over }, age, given }: { config: RampConfig; age: number; given: number }): number {
    const kept = (rate / (1 - age / over)) * (KEPT_MS / 1000);
    return Math.min(kept, given - this.#taken);
  }

  /** One mass close starts one ramp, however long it takes. */
  #young(now: number): boolean {
    return this.#since !== null && now - this.#since < MASS_MS;
  }
}
