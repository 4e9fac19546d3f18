// WebSocket frames by hand (RFC 6455 §5.2), for tests that must see or send exact bytes, wrong ones too. Never used to
// stand in for a peer that could be real.

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface FrameParts {
  /** Default text. */
  readonly opcode?: number;
  /** Default true. */
  readonly fin?: boolean;
  /** The three reserved bits, 0 to 7; default 0. */
  readonly rsv?: number;
  /** The masking key of a client's frame; unset: unmasked, as a server sends. */
  readonly mask?: Buffer;
  readonly payload?: string | Uint8Array;
}

/** A key that changes every byte, so that a forgotten unmasking shows. */
export const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);

const masked = (payload: Buffer, key: Buffer): Buffer => Buffer.from(payload.map((byte, i) => byte ^ key[i % 4]!));

/** One frame's bytes, with the shortest form of its length. */
export function buildFrame(parts: FrameParts): Buffer {
  const payload = Buffer.from(parts.payload ?? '');
  const first = ((parts.fin ?? true) ? 0x80 : 0) | ((parts.rsv ?? 0) << 4) | (parts.opcode ?? OPCODE.text);
  const bit = parts.mask ? 0x80 : 0;
  let head: Buffer;
  if (payload.length < 126) head = Buffer.from([first, bit | payload.length]);
  else if (payload.length < 65_536) {
    head = Buffer.from([first, bit | 126, 0, 0]);
    head.writeUInt16BE(payload.length, 2);
  } else {
    head = Buffer.alloc(10);
    head[0] = first;
    head[1] = bit | 127;
    head.writeBigUInt64BE(BigInt(payload.length), 2);
  }
  return parts.mask ? Buffer.concat([head, parts.mask, masked(payload, parts.mask)]) : Buffer.concat([head, payload]);
}

/** The frame of a Close (§5.5.1); no code: an empty one. */
export function buildClose(code?: number, reason = '', mask?: Buffer): Buffer {
  const status = Buffer.alloc(code === undefined ? 0 : 2);
  if (code !== undefined) status.writeUInt16BE(code);
  const payload = Buffer.concat([status, Buffer.from(reason)]);
  return buildFrame({ opcode: OPCODE.close, payload, ...(mask ? { mask } : {}) });
}

/** A message in several frames. */
export function buildFragments(opcode: number, pieces: readonly (string | Uint8Array)[], mask?: Buffer): Buffer {
  return Buffer.concat(
    pieces.map((payload, i) =>
      buildFrame({
        opcode: i === 0 ? opcode : OPCODE.continuation,
        fin: i === pieces.length - 1,
        payload,
        ...(mask ? { mask } : {}),
      }),
    ),
  );
}

export interface Frame {
  readonly fin: boolean;
  readonly rsv: number;
  readonly opcode: number;
  readonly masked: boolean;
  /** Unmasked. */
  readonly payload: Buffer;
}

/** The whole frames at the start of `bytes`, and what is left behind them. */
export function parseFrames(bytes: Buffer): { frames: Frame[]; rest: Buffer } {
  const frames: Frame[] = [];
  let at = 0;
  for (;;) {
    const next = parseFrame(bytes.subarray(at));
    if (!next) return { frames, rest: bytes.subarray(at) };
    frames.push(next.frame);
    at += next.size;
  }
}

function parseFrame(bytes: Buffer): { frame: Frame; size: number } | undefined {
  if (bytes.length < 2) return undefined;
  const [first, second] = [bytes[0]!, bytes[1]!];
  const short = second & 0x7f;
  const extra = short === 126 ? 2 : short === 127 ? 8 : 0;
  const key = second & 0x80 ? 4 : 0;
  const start = 2 + extra + key;
  if (bytes.length < start) return undefined;
  const length = extra === 2 ? bytes.readUInt16BE(2) : extra === 8 ? Number(bytes.readBigUInt64BE(2)) : short;
  if (bytes.length < start + length) return undefined;
  const raw = bytes.subarray(start, start + length);
  const payload = key ? masked(raw, bytes.subarray(start - 4, start)) : Buffer.from(raw);
  const frame = { fin: first >= 0x80, rsv: (first >> 4) & 7, opcode: first & 15, masked: key > 0, payload };
  return { frame, size: start + length };
}

/** Code and reason of a Close frame; an empty one has none (§7.1.5). */
export function readClose(frame: Frame): { code: number | null; reason: string } {
  if (frame.payload.length < 2) return { code: null, reason: '' };
  return { code: frame.payload.readUInt16BE(), reason: frame.payload.subarray(2).toString() };
}
