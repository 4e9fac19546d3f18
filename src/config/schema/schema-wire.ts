// What a terminated connection may take of memory: compression and what waits for a slow client, as a part of schema-websocket.ts.
import * as z from 'zod';
import { size, whole } from './schema-values.ts';

export const compression = z.strictObject({
  window_bits: whole()
    .min(9)
    .max(15)
    .prefault(12)
    .describe('Size of the compression window toward the client, as a power of 2'),
  level: whole().min(1).max(9).prefault(3).describe('From 1, fast, to 9, small'),
  threshold: size().prefault('1KiB').describe('Smaller messages go uncompressed'),
  memory: size()
    .prefault('64MiB')
    .describe('What compressed connections may take together; beyond it further ones go uncompressed'),
});

export const sendQueue = z.strictObject({
  size: size()
    .refine((bytes) => bytes >= 64 * 1024, 'must be at least 64KiB')
    .prefault('4MiB')
    .describe('What may wait for a client that reads slowly'),
  overflow: z
    .enum(['close', 'drop_oldest'])
    .prefault('close')
    .describe('When more would wait: `close` with 1013, or `drop_oldest` messages of a room'),
});
