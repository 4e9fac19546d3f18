// The `websocket` block of a route: which handshakes it takes, and what it does with those it admits.
import * as z from 'zod';
import { pushOptions, roomsOptions, webhookOptions } from './schema-handlers.ts';
import { sessionLimits } from './schema-limits.ts';
import { count, name, sizeLimit, wait } from './schema-values.ts';
import { compression, sendQueue } from './schema-wire.ts';

const origins = z
  .union([z.enum(['same-host', 'any']), z.array(z.string().min(1)).min(1)])
  .prefault('same-host')
  .describe(
    'Origins that may connect: a list of exact ones, `https://*.example.com`, or texts such as `file://`; `same-host`; or `any`',
  );

const lifetimes = {
  idle: wait().prefault('1h').describe('Ends a session without a byte in either direction, with 1001'),
  max_lifetime: wait().optional().describe('Ends a session this old, less up to a tenth, with 1001; unset: never'),
};

const ping = (description: string) =>
  z
    .strictObject({
      every: wait().prefault('25s').describe('Interval of the pings'),
      timeout: wait().prefault('10s').describe('An end that sends nothing for this long after a ping is cut'),
    })
    .optional()
    .describe(description);

/** What both modes of a websocket route share. */
const handshakeRules = {
  origins,
  missing_origin: z
    .enum(['allow', 'reject'])
    .prefault('allow')
    .describe('How a handshake without Origin is handled; browsers always send one'),
  versions: z
    .array(z.literal([13, 8]))
    .min(1)
    .prefault([13])
    .describe('WebSocket versions accepted: 13 (RFC 6455) and 8 (its draft)'),
  subprotocols: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('Allowed subprotocols, preferred ones first; unset: any'),
  subprotocol_required: z
    .boolean()
    .prefault(true)
    .describe('With `subprotocols`: refuse a handshake that offers none of them'),
};

export const splice = z.strictObject({
  mode: z.literal('splice').describe('Carry the stream to a backend WebSocket server'),
  upstream: name().describe('Upstream of the backend WebSocket servers'),
  ...handshakeRules,
  inspect: z
    .enum(['on', 'off'])
    .prefault('on')
    .describe('Follow frame headers, for Close frames, pings, limits and message counts; `off`: an opaque tunnel'),
  limits: z
    .strictObject({
      max_message: sizeLimit()
        .optional()
        .describe('Largest message on the wire, either way; a larger one closes with 1009; unset: any size'),
      messages_per_second: count()
        .optional()
        .describe('Messages per second from the client, including pings and pongs; unset: unlimited'),
      bytes_per_second: sizeLimit().optional().describe('Bytes per second from the client; unset: unlimited'),
      on_limit: z
        .enum(['close', 'pause'])
        .prefault('close')
        .describe('Above a rate: close with 1008, or pause reading until the client is within it'),
      ...sessionLimits,
    })
    .prefault({})
    .describe('Limits of this route'),
  timeouts: z
    .strictObject({
      connect: wait().prefault('5s').describe('Time for connecting to a server'),
      handshake: wait().prefault('10s').describe("From the connection to the head of the server's answer"),
      ...lifetimes,
    })
    .prefault({})
    .describe('Timeouts of this route'),
  ping: ping('Pings to both ends; unset: none'),
});

export const terminate = z.strictObject({
  mode: z.literal('terminate').describe('Be the WebSocket server'),
  handler: z.enum(['echo', 'push', 'rooms', 'webhook']).describe('The handler of the messages'),
  push: pushOptions.optional().describe('Options of the handler `push`'),
  rooms: roomsOptions.optional().describe('Options of the handler `rooms`'),
  webhook: webhookOptions.optional().describe('Options of the handler `webhook`, which needs them'),
  ...handshakeRules,
  limits: z
    .strictObject({
      max_message: sizeLimit().prefault('1MiB').describe('Largest message, inflated; a larger one closes with 1009'),
      messages_per_second: count()
        .prefault(100_000)
        .describe('Most messages of a client, including pings and empty fragments; more close with 1008'),
      bytes_per_second: sizeLimit()
        .optional()
        .describe("Most bytes of a client's messages, inflated; more close with 1008"),
      max_fragments: count()
        .max(2 ** 31 - 1)
        .optional()
        .describe(
          'Most fragments of a message; more close with 1008; unset: 16384, or one per KiB of `max_message` if that is more',
        ),
      ...sessionLimits,
    })
    .prefault({})
    .describe('Limits of this route'),
  compression: compression.optional().describe('permessage-deflate for clients that offer it; unset: none'),
  send_queue: sendQueue.prefault({}).describe('Messages that wait for a slow client'),
  timeouts: z.strictObject(lifetimes).prefault({}).describe('Timeouts of this route'),
  ping: ping('Pings to the client; unset: none'),
});
