// What a case is: frames that a client sends, and what RFC 6455 lets a server that echoes answer. The numbers are those of
// the Autobahn test suite's cases, whose results for other servers can so be laid beside ours; everything is written from
// the RFCs. Running a case is driver.ts.
import { createHash } from 'node:crypto';
import { buildClose, buildFrame, type FrameParts, MASK, OPCODE } from '../../support/frames.ts';

export type Step =
  /** Sends bytes; in pieces of `chop` bytes, each a segment of its own. */
  | { readonly send: Buffer; readonly chop?: number }
  /** Sends messages, compressed where that was agreed on, each after the echo of the one before; see echoes(). */
  | { readonly rounds: number; readonly message: (i: number) => Message; readonly fragment?: number }
  /** Waits until this many messages and pongs have come, or for the end. */
  | { readonly heard: number }
  /** Sees whether the other end stays quiet: nothing can be asked of it in the midst of a frame. */
  | { readonly quietMs: number };

export interface Message {
  readonly type: 'text' | 'binary';
  readonly payload: Buffer;
}

export interface Case {
  /** The number in the original; a `+` marks a case that it does not have. */
  readonly id: string;
  readonly what: string;
  readonly steps: readonly Step[];
  /** What may be heard, as heardOf() writes it: any of these is right. */
  readonly ok: readonly (readonly string[])[];
  /** What keeps to every MUST of the RFC and not to a SHOULD. */
  readonly nonStrict?: readonly (readonly string[])[];
  /** The RFC leaves it open: whatever comes is only written down. */
  readonly informational?: true;
  readonly end: {
    /** Who closes: the client once all was heard, the client within `steps`, or the server, which must fail the connection. */
    readonly by: 'client' | 'steps' | 'server';
    /** Codes that a Close may have; one without any, or, where `clean` is not asked for, no Close at all may come too. */
    readonly codes: readonly number[];
    /** Whether a whole closing handshake must happen. */
    readonly clean: boolean;
  };
}

/** One thing heard, short enough for a failure's message. */
export function heardOf(type: 'text' | 'binary' | 'ping' | 'pong', payload: Uint8Array | string): string {
  const bytes = Buffer.from(payload);
  if (bytes.length <= 130) return `${type} ${bytes.toString('latin1')}`;
  return `${type} of ${bytes.length} bytes, sha256 ${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Stands among what was heard where a quiet while is over and the connection is not. */
export const STILL_OPEN = 'still open';

/** Stands among what was heard for so many messages that came back as they were sent. */
export const echoes = (count: number): string => `${count} echoes`;

/** A client's frame: masked. */
export const frame = (opcode: number, payload: string | Uint8Array = '', parts: Omit<FrameParts, 'opcode'> = {}) =>
  buildFrame({ mask: MASK, ...parts, opcode, payload });
export const text = (payload: string | Uint8Array, parts: Omit<FrameParts, 'opcode'> = {}) =>
  frame(OPCODE.text, payload, parts);
export const binary = (payload: string | Uint8Array) => frame(OPCODE.binary, payload);
export const ping = (payload: string | Uint8Array = '') => frame(OPCODE.ping, payload);
export const pong = (payload: string | Uint8Array = '') => frame(OPCODE.pong, payload);
export const more = (payload: string | Uint8Array, parts: Omit<FrameParts, 'opcode'> = {}) =>
  frame(OPCODE.continuation, payload, parts);
export const close = (code?: number, reason = '') => buildClose(code, reason, MASK);
export const OPEN = { fin: false } as const;

/** Sent in one write. */
export const atOnce = (...frames: Buffer[]): Step[] => [{ send: Buffer.concat(frames) }];
/** Each frame in a write of its own. */
export const byFrame = (...frames: Buffer[]): Step[] => frames.map((send) => ({ send }));
/** Octet by octet. */
export const byOctet = (...frames: Buffer[]): Step[] => [{ send: Buffer.concat(frames), chop: 1 }];

/** A message in frames of `size` bytes. */
export function fragments(opcode: number, payload: Buffer, size: number): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; at < payload.length || at === 0; at += size) {
    const fin = at + size >= payload.length;
    pieces.push(frame(at === 0 ? opcode : OPCODE.continuation, payload.subarray(at, at + size), { fin }));
  }
  return Buffer.concat(pieces);
}

/** All is legal: it is answered, and the client closes. */
export const legal = (steps: readonly Step[], ...heard: string[]): Pick<Case, 'steps' | 'ok' | 'end'> => ({
  steps,
  ok: [heard],
  end: { by: 'client', codes: [1000], clean: true },
});

/** Something is wrong: what came before it may be answered, and the connection fails with this code. */
export const fails = (
  code: number,
  steps: readonly Step[],
  ...heard: string[]
): Pick<Case, 'steps' | 'ok' | 'nonStrict' | 'end'> => ({
  steps,
  ok: [heard],
  ...(heard.length > 0 ? { nonStrict: [[]] } : {}),
  end: { by: 'server', codes: [code], clean: false },
});

/** The client closes within the steps. */
export const closes = (
  codes: readonly number[],
  steps: readonly Step[],
  ...heard: string[]
): Pick<Case, 'steps' | 'ok' | 'end'> => ({ steps, ok: [heard], end: { by: 'steps', codes, clean: true } });

/** `AUTOBAHN=full`: the sizes and counts of the original, where they take minutes. */
export const FULL = process.env['AUTOBAHN'] === 'full';
