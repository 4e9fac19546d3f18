// `run --demo`: the gateway with backends of its own, on ports that can be had, and gone as soon as it is stopped.
import type { Config } from '../config/schema/schema.ts';
import { startDemo } from '../demo/demo.ts';
import { type Bound, demoHints } from '../demo/hints.ts';
import { findPorts } from '../demo/ports.ts';
import type { Emit } from '../events.ts';
import type { Prepared } from '../runtime/prepare.ts';
import { programName } from './first-steps.ts';

/** Nobody waits for a demo: sessions get their Close, and are cut a moment later. */
const DRAIN = { delay: 0, grace: 1000, spread: 0 };

export interface Trial {
  /** What is served in place of the config as it was written; the same at each reload. */
  adapt(prepared: Prepared): Prepared;
  /** What to try, on the addresses that are bound. */
  hints(listeners: Bound['listeners'], admin: Bound['admin']): string[];
  close(): Promise<void>;
}

/** Starts the backends. Rejects with an Error that says which address could not be bound; nothing is left open then. */
export async function startTrial({ config, source }: Prepared, emit: Emit): Promise<Trial> {
  const movePorts = await findPorts(config, emit);
  const { close } = await startDemo(config, emit);
  return {
    adapt: (prepared) => ({ ...prepared, config: { ...withoutOrders(movePorts(prepared.config)), drain: DRAIN } }),
    hints: (listeners, admin) =>
      demoHints(config, { listeners, admin, configFile: source.file, program: programName(process.env) }),
    close,
  };
}

/** No authority is asked for a demo's certificates. */
function withoutOrders(config: Config): Config {
  const listeners = config.listeners.map(({ tls, ...listener }) =>
    tls === undefined ? listener : { ...listener, tls: { ...tls, acme: undefined } },
  );
  return { ...config, listeners };
}
