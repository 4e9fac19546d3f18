// A few counts since the start, for the status page and `/status`; Prometheus has all of them, by label, from metrics.ts.
import type { GatewayEvent } from '../events.ts';

export class Totals {
  readonly handshakes = { accepted: 0, rejected: 0, failed: 0, passed: 0 };
  requests = 0;
  /** By where. */
  readonly internalErrors = new Map<string, number>();

  observe(event: GatewayEvent): void {
    switch (event.type) {
      case 'session_opened':
        this.handshakes.accepted++;
        break;
      case 'handshake_rejected':
        this.handshakes.rejected++;
        break;
      case 'handshake_failed':
        this.handshakes.failed++;
        break;
      case 'handshake_passed':
        this.handshakes.passed++;
        break;
      case 'request_completed':
        this.requests++;
        break;
      case 'internal_error':
        this.internalErrors.set(event.where, (this.internalErrors.get(event.where) ?? 0) + 1);
    }
  }
}
