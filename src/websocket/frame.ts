// One text message for many clients: its frame (RFC 6455 §5.2) is built once, as a server sends it, unmasked. Frames for
// a single client are the business of `ws` (ws-socket.ts).

/** A message and its frame; both share their bytes. */
export interface PreparedMessage {
  readonly payload: Buffer;
  /** FIN, opcode text, uncompressed. */
  readonly frame: Buffer;
}

const FIN_TEXT = 0x81;

/** Builds the frame of a text message. */
export function prepareText(text: string): PreparedMessage {
  const length = Buffer.byteLength(text);
  const head = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(head + length);
  frame[0] = FIN_TEXT;
  if (head === 2) frame[1] = length;
  else if (head === 4) {
    frame[1] = 126;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = 127;
    frame.writeUInt32BE(Math.floor(length / 2 ** 32), 2);
    frame.writeUInt32BE(length >>> 0, 6);
  }
  frame.write(text, head, 'utf8');
  return { payload: frame.subarray(head), frame };
}
