// What the traceparent field of a request says (W3C Trace Context).

/** The trace that a request is part of, and the client's span in it. */
export interface TraceParent {
  readonly traceId: string;
  readonly spanId: string;
  /** 1: it is recorded. */
  readonly flags: number;
}
