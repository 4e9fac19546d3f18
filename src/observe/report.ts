// Where events go.
import { reportDefect } from '../base/guard.ts';
import type { Emit, GatewayEvent } from '../events.ts';

interface Audience {
  readonly metrics: { readonly emit: Emit };
  readonly log: { readonly emit: Emit };
  readonly limits: { observe(event: GatewayEvent): void };
}

/** Tells each of them. Never throws: what is told of must not suffer from who is told. */
export function reportTo({ metrics, log, limits }: Audience): Emit {
  return (event) => {
    try {
      metrics.emit(event);
      log.emit(event);
      limits.observe(event);
    } catch (thrown) {
      // A defect of telling of a defect would never end.
      if (event.type !== 'internal_error') reportDefect('events', thrown);
    }
  };
}
