// What one direction may carry: a bound on a message and two rates. It only measures; flow.ts and ending.ts act.

import { Bucket } from '../../base/token-bucket.ts';
import type { DirectionLimits } from '../relay.ts';
import type { FrameCursor } from './cursor.ts';

/** Why a frame does not pass: the code its sender gets, and the tunnel's reason. */
export interface Violation {
  readonly code: number;
  readonly reason: string;
}
export const REFUSAL = {
  tooBig: { code: 1009, reason: 'max_message' },
  tooMany: { code: 1008, reason: 'messages_per_second' },
  tooFast: { code: 1008, reason: 'bytes_per_second' },
  unfollowed: { code: 1002, reason: 'lost' },
} as const satisfies Record<string, Violation>;

/** What comes passes whether there are tokens for it or not: the debt says how long to wait. */
export class FlowLimits {
  readonly maxMessage: number;
  readonly pauses: boolean;
  readonly #messages: Bucket | null;
  readonly #bytes: Bucket | null;

  constructor(limits: DirectionLimits) {
    this.maxMessage = limits.maxMessage ?? Number.POSITIVE_INFINITY;
    this.pauses = limits.onLimit === 'pause';
    this.#messages = limits.messagesPerSecond === null ? null : Bucket.perSecond(limits.messagesPerSecond);
    this.#bytes = limits.bytesPerSecond === null ? null : Bucket.perSecond(limits.bytesPerSecond);
  }

  /** A message has come; returns the milliseconds until the rate is kept again, 0: it is kept. */
  message(): number {
    return overdraw(this.#messages, 1);
  }

  /** As message(), for bytes. */
  read(count: number): number {
    return overdraw(this.#bytes, count);
  }
}

function overdraw(bucket: Bucket | null, amount: number): number {
  if (bucket === null) return 0;
  const now = performance.now();
  bucket.take(now, amount);
  return bucket.debt(now);
}

/**
 * Whether a frame counts as a message in `messagesPerSecond`: one that starts a message, and what costs as much and is none:
 * a ping, a pong that no ping of ours asked for, and an empty fragment that ends nothing.
 */
export function countsAsMessage({ starts, opcode, length, fin }: FrameCursor): boolean {
  return starts || opcode >= 8 || (length === 0 && !fin);
}
