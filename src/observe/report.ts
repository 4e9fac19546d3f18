// Where events go.
import type { Emit, GatewayEvent } from '../events.ts';

interface Audience {
  readonly metrics: { readonly emit: Emit };
  readonly log: { readonly emit: Emit };
  readonly throttle: { observe(event: GatewayEvent): void };
}

/** Tells each of them. What is rehearsed is this very function, for V8 compiles it together with what it calls. */
export function reportTo({ metrics, log, throttle }: Audience): Emit {
  return (event) => {
    metrics.emit(event);
    log.emit(event);
    throttle.observe(event);
  };
}
