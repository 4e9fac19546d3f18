// Reports that connections could not be accepted, at a bounded rate, so that the log does not fill.
import { systemCode } from '../errors.ts';
import type { Emit } from '../events.ts';

/** Milliseconds between two reports of one listener, at least. */
const NOTICE_MS = 10_000;

/** The system's error when no descriptor is left. */
export const SHORTAGE = Object.assign(new Error('EMFILE'), { code: 'EMFILE' });

export class AcceptFailures {
  readonly #listener: string;
  readonly #emit: Emit;
  #noticedAt = Number.NEGATIVE_INFINITY;

  constructor(listener: string, emit: Emit) {
    this.#listener = listener;
    this.#emit = emit;
  }

  report(error: Error): void {
    const now = performance.now();
    if (now - this.#noticedAt < NOTICE_MS) return;
    this.#noticedAt = now;
    const code = systemCode(error);
    const message =
      code === 'EMFILE' || code === 'ENFILE'
        ? `descriptors run out, and clients are refused as they connect: ${error.message}`
        : `accepting a connection failed: ${error.message}`;
    this.#emit({ type: 'notice', level: 'error', message, data: { listener: this.#listener } });
  }
}
