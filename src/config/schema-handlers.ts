// The options of the handlers of a terminating route, each under its handler's name, as a part of schema-websocket.ts.
import * as z from 'zod';
import { count, name, wait, whole } from './schema-values.ts';

/** Options of the handler `push`; the handler asks here for what stands when the config has no `push`. */
export const pushOptions = z.strictObject({
  text: z.string().prefault('hello world').describe('The message'),
  every: wait().prefault('10s').describe('Sent at once, and again after each of these'),
});

/** Options of the handler `webhook`. */
export const webhookOptions = z.strictObject({
  upstream: name().describe('Upstream of the REST servers that are asked'),
  path: z
    .string()
    .regex(/^\/[\x21\x22\x24-\x7e]*$/, 'must be a path that starts with "/", in ASCII and without spaces')
    .describe('Where events are sent to; may have a query'),
  hub: name()
    .optional()
    .describe('`ce-hub`, by which one backend tells several routes apart; unset: the name of the route'),
  key: z
    .string()
    .min(1)
    .optional()
    .describe('Key of `ce-signature`; mostly from the environment. Two with a comma while they are rotated'),
  key_file: z.string().min(1).optional().describe('Path of a file that holds the key, in place of `key`'),
  events: z
    .array(z.enum(['connect', 'connected', 'message', 'disconnected']))
    .min(1)
    .prefault(['connect', 'connected', 'message', 'disconnected'])
    .describe('What the backend is told of'),
  timeout: wait().prefault('10s').describe('For one attempt, from connecting to the whole answer'),
  retries: whole().min(0).max(10).prefault(2).describe('Further attempts after one that failed, with the same `ce-id`'),
  concurrency: count().prefault(64).describe('Requests under way at a time; further ones stand in line'),
  queue: count().prefault(16).describe('Messages of one client that wait; beyond them the client is not read from'),
});

export type WebhookConfig = z.output<typeof webhookOptions>;
