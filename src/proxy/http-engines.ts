// Which HttpEngine serves: our own, or http-proxy where it is asked for. Each is opened once, when it is first needed, and
// keeps its connections over reloads.
import { SlotSet } from '../base/slot-set.ts';
import type { EndlessAnswer } from '../upstream/endless.ts';
import type { HttpEngine } from './http-engine.ts';
import { openHttpProxy } from './http-proxy/http-proxy.ts';
import { openHttp1 } from './http1/engine.ts';

const OPENERS = { auto: openHttp1, 'http-proxy': openHttpProxy } as const satisfies Record<string, () => HttpEngine>;

export type EngineName = keyof typeof OPENERS;

export class HttpEngines {
  /** The answers without an end that are under way, of all engines. */
  readonly endless = new SlotSet<EndlessAnswer>();
  readonly #open = new Map<EngineName, HttpEngine>();

  /** The engine of `http: { engine }`. */
  pick(wanted: EngineName): HttpEngine {
    const engine = this.#open.get(wanted) ?? OPENERS[wanted]();
    this.#open.set(wanted, engine);
    return engine;
  }

  /** Ends the idle connections of all. */
  close(): void {
    for (const engine of this.#open.values()) engine.close();
  }
}
