// What one direction may carry: a bound on a message and two rates. It only measures; flow.ts and ending.ts act.

import type { DirectionLimits } from '../relay.ts';
import type { FrameCursor } from './cursor.ts';

/** Why a frame does not pass: the code its sender gets, and the tunnel's reason. */
export interface Refusal {
  readonly code: number;
  readonly reason: string;
}
export const REFUSAL = {
  tooBig: { code: 1009, reason: 'max_message' },
  tooMany: { code: 1008, reason: 'messages_per_second' },
  tooFast: { code: 1008, reason: 'bytes_per_second' },
  unfollowed: { code: 1002, reason: 'lost' },
} as const satisfies Record<string, Refusal>;

/** A token bucket that holds one second's worth, and may be overdrawn: the debt says how long to wait. */
class Meter {
  readonly #rate: number;
  #tokens: number;
  #at = performance.now();

  constructor(perSecond: number) {
    this.#rate = perSecond;
    this.#tokens = perSecond;
  }

  /** Takes `count` and returns the milliseconds until the rate is kept again; 0: it is kept. */
  take(count: number): number {
    const now = performance.now();
    this.#tokens = Math.min(this.#rate, this.#tokens + ((now - this.#at) / 1000) * this.#rate) - count;
    this.#at = now;
    return this.#tokens >= 0 ? 0 : (-this.#tokens / this.#rate) * 1000;
  }
}

export class FlowLimits {
  readonly maxMessage: number;
  readonly pauses: boolean;
  readonly messages: Meter | null;
  readonly bytes: Meter | null;

  constructor(limits: DirectionLimits) {
    this.maxMessage = limits.maxMessage ?? Number.POSITIVE_INFINITY;
    this.pauses = limits.onLimit === 'pause';
    this.messages = limits.messagesPerSecond === null ? null : new Meter(limits.messagesPerSecond);
    this.bytes = limits.bytesPerSecond === null ? null : new Meter(limits.bytesPerSecond);
  }
}

/**
 * Whether a frame counts as a message in `messagesPerSecond`: one that starts a message, and what costs as much and is none:
 * a ping, a pong that no ping of ours asked for, and an empty fragment that ends nothing.
 */
export function countsAsMessage({ starts, opcode, length, fin }: FrameCursor): boolean {
  return starts || opcode >= 8 || (length === 0 && !fin);
}
