// Where events go.
import { reportDefect } from '../base/guard.ts';
import type { Emit, GatewayEvent } from '../events.ts';

interface Audience {
  readonly metrics: { readonly emit: Emit };
  readonly log: { readonly emit: Emit };
  readonly limits: { observe(event: GatewayEvent): void };
  readonly spans: { readonly emit: Emit };
  readonly readings: { observe(event: GatewayEvent): void };
}

/**
 * Reports events to the metrics, the log, the limits, and what the admin API reads. Never throws: an error in one of them must not affect the code
 * that reports.
 */
export function reportTo({ metrics, log, limits, spans, readings }: Audience): Emit {
  return (event) => {
    try {
      metrics.emit(event);
      log.emit(event);
      limits.observe(event);
      readings.observe(event);
      spans.emit(event);
    } catch (thrown) {
      // Reporting a defect in the report of a defect would never end.
      if (event.type !== 'internal_error') reportDefect('events', thrown);
    }
  };
}
