// Which HttpEngine serves: undici, or http-proxy where it is asked for or undici can't run. Each is opened once, when it is
// first needed, and keeps its connections over reloads.
import type { HttpEngine } from './http-engine.ts';
import { openHttpProxy } from './http-proxy.ts';
import { openUndici } from './undici.ts';

export type EngineName = 'http-proxy' | 'undici';

const OPENERS = { 'http-proxy': openHttpProxy, undici: openUndici } as const satisfies Record<
  EngineName,
  () => HttpEngine
>;

export class HttpEngines {
  readonly #open = new Map<EngineName, HttpEngine>();

  /** The engine of `http: { engine }`. undici's parser is WebAssembly, which `node --jitless` does not have. */
  pick(wanted: EngineName | 'auto'): HttpEngine {
    const name = wanted === 'auto' ? ('WebAssembly' in globalThis ? 'undici' : 'http-proxy') : wanted;
    const engine = this.#open.get(name) ?? OPENERS[name]();
    this.#open.set(name, engine);
    return engine;
  }

  /** Ends the idle connections of all. */
  close(): void {
    for (const engine of this.#open.values()) engine.close();
  }
}
