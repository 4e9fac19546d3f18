// How long a connection may be kept behind an answer (RFC 9112 §9.3).
import type { AnswerHead } from '../../http/answer.ts';
import { listElements, listHas } from '../../http/fields.ts';

/** How much sooner than the server says. */
const BEFORE_SERVER_MS = 1000;

/** Milliseconds, `most` at most; 0: not at all. */
export function persistence(answer: AnswerHead, most: number): number {
  if (listHas(answer, 'connection', 'close')) return 0;
  if (answer.version === '1.0' && !listHas(answer, 'connection', 'keep-alive')) return 0;
  for (const element of listElements(answer, 'keep-alive')) {
    const seconds = /^timeout=(\d{1,9})$/i.exec(element)?.[1];
    if (seconds !== undefined) return Math.min(most, Math.max(0, Number(seconds) * 1000 - BEFORE_SERVER_MS));
  }
  return most;
}
