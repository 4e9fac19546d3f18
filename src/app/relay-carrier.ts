// The relay engine that the config asks for, and the splice action on it; why another one serves is said here.
import { createSplice, type Splice } from '../actions/splice.ts';
import type { Config } from '../config/schema/schema.ts';
import type { Emit } from '../events.ts';
import { openRelay } from '../relay/auto.ts';
import type { RelayEngine } from '../relay/relay.ts';

export interface RelayCarrier {
  readonly engine: RelayEngine;
  readonly splice: Splice;
}

/** Opens the relay that the config names. Where that is not to be had, the js relay serves, and the log says why. */
export function openCarrier({ engine, threads }: Config['relay'], emit: Emit): RelayCarrier {
  const { relay, fallback } = openRelay(engine, threads);
  if (fallback !== null) {
    // On Linux the native engine is what everyone expects: without it a gateway carries a third as much.
    const level = engine === 'native' || process.platform === 'linux' ? 'warn' : 'info';
    emit({ type: 'notice', level, message: 'the js relay serves', data: { why: fallback } });
  }
  return { engine: relay, splice: createSplice(relay) };
}
