// The few frames the gateway itself sends, and the payload of a control frame it reads (RFC 6455 §5.5). Toward a backend
// the gateway is the client: those frames are masked with a fresh random key (§5.3).
import { randomBytes } from 'node:crypto';
import { OPCODE } from './cursor.ts';

/** A Close with a code and a reason; the reason is ASCII, and what is over 123 bytes is left off. */
export function buildClose(code: number, reason: string, receiver: 'client' | 'backend'): Buffer {
  const payload = Buffer.alloc(2 + Math.min(reason.length, 123));
  payload.writeUInt16BE(code);
  payload.write(reason, 2, 'latin1');
  return buildControl(OPCODE.close, payload, receiver);
}

/** A Ping with this payload of at most 125 bytes, masked where a backend receives it (RFC 6455 §5.5.2, §5.3). */
export function buildPing(payload: Buffer, receiver: 'client' | 'backend'): Buffer {
  return buildControl(OPCODE.ping, payload, receiver);
}

function buildControl(opcode: number, payload: Buffer, receiver: 'client' | 'backend'): Buffer {
  if (receiver === 'client') return Buffer.concat([Buffer.from([0x80 | opcode, payload.length]), payload]);
  const key = randomBytes(4);
  return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length]), key, masked(payload, key)]);
}

/** The plain payload of a whole control frame. */
export function readPayload(frame: Buffer): Buffer {
  const second = frame[1] as number;
  if (second < 0x80) return frame.subarray(2);
  return masked(frame.subarray(6), frame.subarray(2, 6));
}

function masked(payload: Buffer, key: Buffer): Buffer {
  const result = Buffer.from(payload);
  for (let i = 0; i < result.length; i++) result[i] = (result[i] as number) ^ (key[i % 4] as number);
  return result;
}
