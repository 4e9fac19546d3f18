// The options of the handlers of a terminating route, each under its handler's name, as a part of schema-websocket.ts.
import * as z from 'zod';
import { parseTemplate } from '../yaml/template.ts';
import { count, name, wait, whole } from './schema-values.ts';

/** Options of the handler `push`; the handler asks here for what stands when the config has no `push`. */
export const pushOptions = z.strictObject({
  text: z.string().prefault('hello world').describe('The message'),
  every: wait().prefault('10s').describe('Sent at once, and again after each of these'),
});

const template = () =>
  z
    .string()
    .refine(
      (text) => parseTemplate(text) !== null,
      'must be a text with places such as {room}, of the path, {query.room} or {claim.sub}',
    );

/** Options of the handler `rooms`; the handler asks here for what stands when the config has no `rooms`. */
export const roomsOptions = z.strictObject({
  format: z
    .enum(['text', 'json'])
    .prefault('text')
    .describe('`text`: plain messages, `user: message` to the others; `json`: the protocol of docs/rooms.md'),
  room: template()
    .prefault('{room}')
    .describe('Name of the room: a text, with `{name}` of the path, `{query.name}` or `{claim.name}` in it'),
  user: template()
    .optional()
    .describe('Name of the user, likewise; unset: `{user}` where the path has it, else a guest without a name'),
  names: z
    .strictObject({
      charset: z
        .enum(['ascii', 'unicode'])
        .prefault('ascii')
        .describe('`ascii`: letters, digits and `._~@+-`; `unicode`: letters and digits of any script too'),
      length: count().max(256).prefault(64).describe('Most characters'),
    })
    .prefault({})
    .describe('What names of rooms and users may be; another one is answered with 400'),
  allow: z
    .array(z.enum(['publish', 'subscribe']))
    .min(1)
    .prefault(['publish', 'subscribe'])
    .describe('What members that come by this route may do'),
  publishers: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('Users that may publish; unset: everyone, where `allow` has it'),
  echo: z.boolean().prefault(false).describe('Whether who says something gets it too'),
  presence: z.boolean().prefault(true).describe('With `json`: whether members are told who comes and goes'),
  history: z
    .strictObject({
      count: whole().min(0).max(10_000).prefault(100).describe('Messages that a room keeps; 0: none'),
      age: wait().prefault('1h').describe('Older messages are let go of'),
    })
    .prefault({})
    .describe('What is kept for those who come later, or again'),
  limits: z
    .strictObject({
      members: count().optional().describe('Most connections in a room, over all gateways; more are answered with 503'),
      rooms_per_user: count().optional().describe('Most rooms that a user is in; more are answered with 429'),
    })
    .prefault({})
    .describe('How many there may be'),
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
