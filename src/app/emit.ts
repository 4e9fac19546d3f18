// Where the events of this gateway go, defects among them.
import { onDefect } from '../base/guard.ts';
import { stackOf } from '../errors.ts';
import type { Emit } from '../events.ts';
import { reportTo } from '../observe/report.ts';

export interface OpenEmit {
  readonly emit: Emit;
  /** Defects are reported no longer. */
  readonly close: () => void;
}

/** Hands each event to all who want it, and reports defects (guard.ts) as events from now on. */
export function openEmit(audience: Parameters<typeof reportTo>[0]): OpenEmit {
  const emit = reportTo(audience);
  const close = onDefect(({ where, thrown, id }) =>
    emit({ type: 'internal_error', where, id, stack: stackOf(thrown) }),
  );
  return { emit, close };
}
