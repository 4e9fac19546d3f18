// What a drain does with the parts of the gateway; runtime/drain.ts says when.
import type { SlotSet } from '../base/slot-set.ts';
import type { DrainConfig } from '../config/schema/schema.ts';
import type { Emit } from '../events.ts';
import type { Listeners } from '../listen/listeners.ts';
import type { Gateway } from '../pipeline/requests.ts';
import { startDrain } from '../runtime/drain.ts';
import type { Registry } from '../sessions/registry.ts';
import type { EndlessAnswer } from '../upstream/endless.ts';

export interface DrainedParts {
  readonly config: DrainConfig;
  readonly emit: Emit;
  readonly gateway: Gateway;
  readonly listeners: Listeners;
  readonly sessions: Registry;
  readonly endless: SlotSet<EndlessAnswer>;
  /** From here on `/readyz` answers 503. */
  readonly notReady: () => void;
}

/** Resolves when nothing is left. */
export function drainGateway({ config, emit, notReady, ...parts }: DrainedParts): Promise<void> {
  const { gateway, listeners, sessions, endless } = parts;
  return startDrain({
    config,
    emit,
    target: {
      notReady,
      stopListening: () => {
        gateway.startDraining();
        listeners.close();
      },
      sessions: () => sessions.sessions(),
      requests: () => gateway.underWay(),
      endlessAnswers: () => endless.members(),
      cutRequests: () => listeners.cut(),
    },
  });
}
