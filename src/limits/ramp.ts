// When very many clients come at once (after a start, or when many sessions were lost together) handshakes are admitted
// at a rate that rises, so that the reconnects overload neither backends nor the gateway. The others get a time to
// retry after, each its own.
//
// At the share x of its time the ramp lets in rate / (1 - x): the rate at first, twice that at half of it, ten times that
// at nine tenths, and at the end everything. There is no edge for a crowd to wait behind.
import type { Config } from '../config/schema/schema.ts';
import type { GatewayEvent, Sample, Sampler } from '../events.ts';
import { Window } from '../upstream/health/window.ts';

export type RampConfig = NonNullable<Config['limits']['ramp']>;

/** Sessions that end within this long are a mass. */
const MASS_MS = 1000;
/** Unused admissions are kept for this long. */
const KEPT_MS = 100;

export class Ramp implements Sampler {
  readonly #closes = new Window(MASS_MS);
  readonly #now: () => number;
  #config: RampConfig | null = null;
  /** When it began; null where it does not run. */
  #since: number | null = null;
  /** How many were admitted of those that the ramp allowed so far. */
  #taken = 0;
  /** The last place that was promised to a refused handshake. */
  #promised = 0;

  /** `now` in milliseconds of a clock that never goes back. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Sets the config from now on; a ramp that runs goes on, unless the config has none any more. */
  configure(config: RampConfig | null): void {
    this.#config = config;
    if (config === null) this.#since = null;
  }

  /** Begins, or begins anew. */
  start(): void {
    if (this.#config === null) return;
    this.#since = this.#now();
    this.#taken = 0;
    this.#promised = 0;
  }

  /** Takes an event: many sessions that end at once, other than by their clients' own Close, begin a ramp; then true. */
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
   * For one that may not be admitted: milliseconds until there is a place for it, after all those that were refused
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

  /** Where the ramp is; null where none runs. */
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

  /** One mass of closes is one reason to begin, however long it takes. */
  #young(now: number): boolean {
    return this.#since !== null && now - this.#since < MASS_MS;
  }
}
