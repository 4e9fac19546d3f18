// The options of the handlers of a terminating route, each under its handler's name, as a part of schema.ts.
import { parseTemplate } from './template.ts';
import { count, wait, whole, z } from './terms.ts';

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
      'must be a text with places such as {room}, of the path, or {query.room}',
    );

/** Options of the handler `rooms`; the handler asks here for what stands when the config has no `rooms`. */
export const roomsOptions = z.strictObject({
  format: z
    .enum(['text', 'json'])
    .prefault('text')
    .describe('`text`: plain messages, `user: message` to the others; `json`: the protocol of docs/rooms.md'),
  room: template()
    .prefault('{room}')
    .describe('Name of the room: a text, with `{name}` of the path or `{query.name}` in it'),
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
