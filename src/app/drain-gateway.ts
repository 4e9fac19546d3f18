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
  /**
   * Leaves the listening sockets to the other processes that accept from them, and resolves when the last connection has been
   * accepted; null where they are this process's alone.
   */
  readonly release: (() => Promise<void>) | null;
  /** From here on `/readyz` answers 503. */
  readonly notReady: () => void;
  /** Tells the one who waits for it; null: nobody does. */
  readonly print: ((line: string) => void) | null;
}

/**
 * Where somebody else accepts from now on, nobody is refused: a connection that was accepted just before has this long, in
 * milliseconds, to bring its request or its handshake.
 */
const LAST_ACCEPTED_MS = 1000;

/** Resolves when nothing is left. */
export function drainGateway({ config, emit, notReady, release, print, ...parts }: DrainedParts): Promise<void> {
  const { gateway, listeners, sessions, endless } = parts;
  const waiting = waitsFor(config, { sessions: sessions.size, requests: gateway.underWay() });
  if (waiting !== null) print?.(waiting);
  return startDrain({
    config,
    emit,
    target: {
      notReady,
      stopListening: async () => {
        if (release !== null) {
          await release();
          gateway.startClosing();
          await new Promise((resolve) => setTimeout(resolve, LAST_ACCEPTED_MS));
        }
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

/** What a drain waits for, and how not to; null where it waits for nothing. */
export function waitsFor(
  { delay, grace }: Pick<DrainConfig, 'delay' | 'grace'>,
  { sessions, requests }: { readonly sessions: number; readonly requests: number },
): string | null {
  if (delay === 0 && sessions === 0 && requests === 0) return null;
  const left = [
    ...(sessions === 0 ? [] : [`${sessions} ${sessions === 1 ? 'session' : 'sessions'}`]),
    ...(requests === 0 ? [] : [`${requests} ${requests === 1 ? 'request' : 'requests'}`]),
  ];
  const what = left.length === 0 ? 'balancers to notice (drain.delay)' : `${left.join(' and ')} to end`;
  return `Draining: waits up to ${Math.ceil((delay + grace) / 1000)} s for ${what}. Once more (Ctrl-C) ends it at once.`;
}
