// The options of the handlers of a terminating route, each under its handler's name, as a part of schema-websocket.ts.
import * as z from 'zod';
import { parseTemplate } from '../yaml/template.ts';
import { count, name, wait, whole } from './schema-values.ts';

/** Options of the handler `push`; the handler asks here for what stands when the config has no `push`. */
export const pushOptions = z.strictObject({
  text: z.string().prefault('hello world').describe('The message'),
  every: wait().prefault('10s').describe('Interval; the first message is sent at once'),
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
    .describe('`text`: plain messages, sent to the others as `user: message`; `json`: the protocol of docs/rooms.md'),
  room: template()
    .prefault('{room}')
    .describe('Name of the room: a text that may contain `{name}` of the path, `{query.name}` or `{claim.name}`'),
  user: template().optional().describe('Name of the user, likewise; unset: `{user}` if the path has it, else a guest'),
  names: z
    .strictObject({
      charset: z
        .enum(['ascii', 'unicode'])
        .prefault('ascii')
        .describe('`ascii`: letters, digits and `._~@+-`; `unicode`: letters and digits of any script too'),
      length: count().max(256).prefault(64).describe('Most characters'),
    })
    .prefault({})
    .describe('Valid names of rooms and users; others are answered with 400'),
  allow: z
    .array(z.enum(['publish', 'subscribe']))
    .min(1)
    .prefault(['publish', 'subscribe'])
    .describe('What members from this route may do'),
  publishers: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('Users that may publish; unset: everyone, if `allow` has it'),
  echo: z.boolean().prefault(false).describe('Whether a publisher gets its own messages'),
  presence: z.boolean().prefault(true).describe('With `json`: whether members are notified when users join and leave'),
  history: z
    .strictObject({
      count: whole().min(0).max(10_000).prefault(100).describe('Messages that a room keeps; 0: none'),
      age: wait().prefault('1h').describe('Older messages are dropped'),
    })
    .prefault({})
    .describe('Messages that are kept for members who join later, or again'),
  limits: z
    .strictObject({
      members: count().optional().describe('Most connections in a room, over all gateways; more are answered with 503'),
      rooms_per_user: count().optional().describe('Most rooms that a user is in; more are answered with 429'),
    })
    .prefault({})
    .describe('Limits of rooms'),
});

/** Options of the handler `webhook`. */
export const webhookOptions = z.strictObject({
  upstream: name().describe('Upstream of the servers that get the events'),
  path: z
    .string()
    .regex(/^\/[\x21\x22\x24-\x7e]*$/, 'must be a path that starts with "/", in ASCII and without spaces')
    .describe('Target of the requests; may have a query'),
  hub: name().optional().describe('`ce-hub`, which tells a backend the route; unset: the name of the route'),
  key: z
    .string()
    .min(1)
    .optional()
    .describe('Key of `ce-signature`, usually from the environment; during a rotation two, separated by a comma'),
  key_file: z.string().min(1).optional().describe('Path of a file with the key, instead of `key`'),
  events: z
    .array(z.enum(['connect', 'connected', 'message', 'disconnected']))
    .min(1)
    .prefault(['connect', 'connected', 'message', 'disconnected'])
    .describe('Events that are sent'),
  timeout: wait().prefault('10s').describe('Time for one attempt, from connecting to the complete answer'),
  retries: whole().min(0).max(10).prefault(2).describe('Further attempts after a failed one, with the same `ce-id`'),
  concurrency: count().prefault(64).describe('Requests at a time; further ones wait'),
  queue: count().prefault(16).describe('Waiting messages of one client at which the gateway stops reading from it'),
});

export type WebhookConfig = z.output<typeof webhookOptions>;
