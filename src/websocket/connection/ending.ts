// How a terminated session ends, as values: the Closes that ws sends for violations, and what a Close can carry.
import { lookupTable } from '../../base/lookup-table.ts';
import type { SessionEnd } from '../../events.ts';

/** A Close's reason may have as many bytes (RFC 6455 §5.5). */
const MAX_REASON = 123;

export type SessionClose = Pick<SessionEnd, 'code' | 'initiator' | 'reason'>;

const violation = (code: number, reason: string): SessionClose => ({ code, initiator: 'gateway', reason });

/** What ws found wrong, and the Close it has sent for it. */
export const VIOLATIONS: Readonly<Record<string, SessionClose>> = lookupTable({
  WS_ERR_EXPECTED_FIN: violation(1002, 'protocol'),
  WS_ERR_EXPECTED_MASK: violation(1002, 'protocol'),
  WS_ERR_INVALID_CLOSE_CODE: violation(1002, 'protocol'),
  WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH: violation(1002, 'protocol'),
  WS_ERR_INVALID_OPCODE: violation(1002, 'protocol'),
  WS_ERR_UNEXPECTED_RSV_1: violation(1002, 'protocol'),
  WS_ERR_UNEXPECTED_RSV_2_3: violation(1002, 'protocol'),
  WS_ERR_INVALID_UTF8: violation(1007, 'payload'),
  WS_ERR_TOO_MANY_BUFFERED_PARTS: violation(1008, 'too_many_parts'),
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: violation(1009, 'too_big'),
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: violation(1009, 'too_big'),
});

/** The reason to send with a Close of ws's own; undefined where it answers the client's. */
export function reasonOf(code: number | undefined): string | undefined {
  return Object.values(VIOLATIONS).find((ending) => ending.code === code)?.reason;
}

/** How a session ended that the gateway did not end; 1006 means "no Close came" (RFC 6455 §7.1.5). */
export function endOfClient(closeCode: number, error: Error | null): SessionClose {
  if (closeCode !== 1006) return { code: closeCode, initiator: 'client', reason: 'closed' };
  return { code: null, initiator: 'client', reason: error === null ? 'closed' : 'reset' };
}

/** A reason cut to what a Close can carry, at the start of a character. */
export function truncateReason(reason: string): Buffer {
  const bytes = Buffer.from(reason);
  if (bytes.length <= MAX_REASON) return bytes;
  let end = MAX_REASON;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}
