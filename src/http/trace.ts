// The trace that a request is part of, by W3C Trace Context. The field itself goes on as it came; its id stands in the log. Pure.
import { type FieldSection, valuesOf } from './fields.ts';

/** Section 3.2: version, trace-id, parent-id, flags. A later version may have more behind them. */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$/;

/** The trace-id; undefined where there is no traceparent, more than one, or none that is valid. */
export function readTraceId(head: FieldSection): string | undefined {
  // Nearly all requests have none.
  if (!head.names.includes('traceparent')) return undefined;
  const values = valuesOf(head, 'traceparent');
  const found = values.length > 1 ? null : TRACEPARENT.exec(values[0] as string);
  if (found === null) return undefined;
  const [version, trace, parent, more] = found.slice(1) as [string, string, string, string | undefined];
  if (version === 'ff' || (version === '00' && more !== undefined)) return undefined;
  return /^0+$/.test(trace) || /^0+$/.test(parent) ? undefined : trace;
}
