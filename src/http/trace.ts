// The trace that a request is part of, by W3C Trace Context. The field itself goes on as it came; its id stands in the log. Pure.
import type { TraceParent } from '../events/trace-parent.ts';
import { type FieldSection, valuesOf } from './fields.ts';

/** Section 3.2: version, trace-id, parent-id, flags. A later version may have more behind them. */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** What it says; undefined where there is no traceparent, more than one, or none that is valid. */
export function readTraceParent(head: FieldSection): TraceParent | undefined {
  // Nearly all requests have none.
  if (!head.names.includes('traceparent')) return undefined;
  const values = valuesOf(head, 'traceparent');
  const found = values.length > 1 ? null : TRACEPARENT.exec(values[0] as string);
  if (found === null) return undefined;
  const [version, traceId, spanId, flags, more] = found.slice(1) as [
    string,
    string,
    string,
    string,
    string | undefined,
  ];
  if (version === 'ff' || (version === '00' && more !== undefined)) return undefined;
  return /^0+$/.test(traceId) || /^0+$/.test(spanId)
    ? undefined
    : { traceId, spanId, flags: Number.parseInt(flags, 16) };
}
