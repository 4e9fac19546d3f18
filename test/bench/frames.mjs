// Frames of one size, built once: a load that costs its sender little, so that what is measured is the gateway.

/** A frame's header (RFC 6455 §5.2): binary, FIN, with or without a mask of zeros. */
export function frame(size, masked) {
  const head = size < 126 ? Buffer.alloc(2) : size < 65536 ? Buffer.alloc(4) : Buffer.alloc(10);
  head[0] = 0x82;
  if (size < 126) head[1] = size;
  else if (size < 65536) {
    head[1] = 126;
    head.writeUInt16BE(size, 2);
  } else {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(size), 2);
  }
  if (masked) head[1] |= 0x80;
  // A mask of zeros is a valid mask, and the payload stays what it is.
  return Buffer.concat([head, ...(masked ? [Buffer.alloc(4)] : []), Buffer.alloc(size, 0x61)]);
}
