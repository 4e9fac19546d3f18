// When a certificate is renewed, and how long to wait after a failed order. Pure.
import type { X509Certificate } from 'node:crypto';

/** When a certificate is valid, in milliseconds since 1970. */
export interface Validity {
  readonly from: number;
  readonly to: number;
}

/** When the authority wants it renewed (RFC 9773 §4.2), in milliseconds since 1970. */
export interface SuggestedWindow {
  readonly start: number;
  readonly end: number;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Waits grow threefold: five attempts in the first hour, for authorities that allow five failures an hour. */
const FIRST_WAIT_MS = MINUTE_MS;
const GROWTH = 3;
const LONGEST_WAIT_MS = 6 * HOUR_MS;
/** Longest wait that an authority may ask for. */
const LONGEST_RETRY_AFTER_MS = 7 * 24 * HOUR_MS;

/** A certificate's dates, as milliseconds since 1970. */
export function validityOf({ validFrom, validTo }: X509Certificate): Validity {
  return { from: Date.parse(validFrom), to: Date.parse(validTo) };
}

/** With a third of its lifetime left. */
export function renewalTime({ from, to }: Validity): number {
  return to - (to - from) / 3;
}

/** A moment within the window, chosen by a number from 0 to 1 (RFC 9773 §4.2), no later than with a twentieth of its lifetime left. */
export function suggestedTime({ from, to }: Validity, { start, end }: SuggestedWindow, random: number): number {
  return Math.min(start + (end - start) * random, to - (to - from) / 20);
}

/** Shortest time between two orders, whatever the dates and the authority say: an hour, or a third of a short lifetime. */
export function pauseAfter({ from, to }: Validity): number {
  return Math.max(MINUTE_MS, Math.min(HOUR_MS, (to - from) / 3));
}

/**
 * The wait after so many failures in a row: 1 minute, 3, 9, up to 6 hours, less a random part of up to a quarter. A longer wait
 * that the authority asks for takes its place.
 */
export function waitAfter(failures: number, retryAfterMs: number | null, random: number): number {
  const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * GROWTH ** (failures - 1)) * (1 - random / 4);
  return Math.max(wait, Math.min(retryAfterMs ?? 0, LONGEST_RETRY_AFTER_MS));
}
