// How much may come: rates of handshakes and requests, live sessions, of the gateway, of a route and of one client. What a
// limit counts and how it answers is docs/limits.md.
import * as z from 'zod';
import { count, rate, sharedStore, size, wait } from './schema-values.ts';

const CLIENT = 'client address (IPv6: its first 64 bits)';

const claim = () =>
  z.string().min(1).optional().describe('Claim that identifies clients for the limits `_per_claim`, such as `sub`');

/** Of handshakes and sessions, for the gateway as for a route. */
const sessions = (where: string) => ({
  connections: count().optional().describe(`Most live sessions ${where}; more are answered with 503`),
  connections_per_ip: count()
    .optional()
    .describe(`Most live sessions ${where} of one ${CLIENT}; more are answered with 429`),
  handshakes_per_second: rate()
    .optional()
    .describe(`Handshakes per second ${where}: a number, or \`rate\` and \`burst\`; more are answered with 429`),
  handshakes_per_second_per_ip: rate().optional().describe(`The same for one ${CLIENT}`),
});

const requests = (where: string) => ({
  requests_per_second: rate()
    .optional()
    .describe(`Plain requests per second ${where}: a number, or \`rate\` and \`burst\`; more are answered with 429`),
  requests_per_second_per_ip: rate().optional().describe(`The same for one ${CLIENT}`),
});

/** Of a websocket route. */
export const sessionLimits = {
  ...sessions('of this route'),
  claim: claim(),
  connections_per_claim: count().optional().describe('Most live sessions of this route with the same `claim`'),
  handshakes_per_second_per_claim: rate().optional().describe('Handshakes per second with the same `claim`'),
};

/** Of the plain requests of a route. */
export const requestLimits = z
  .strictObject({
    ...requests('of this route'),
    claim: claim(),
    requests_per_second_per_claim: rate().optional().describe('Plain requests per second with the same `claim`'),
  })
  .prefault({})
  .describe('Limits of plain requests on this route');

const ramp = z
  .strictObject({
    rate: count()
      .max(1_000_000)
      .describe('Handshakes per second at the beginning; twice as many after half of the time'),
    over: wait().prefault('30s').describe('Time until everything is admitted'),
    closes: count()
      .optional()
      .describe('Sessions lost within a second, not ended by their clients, that start it; unset: as many as `rate`'),
  })
  .optional()
  .describe('After a start, or when many sessions were lost, admit handshakes at a rising rate; unset: all at once');

/** Of the gateway as a whole. */
export const limits = z.strictObject({
  ...sessions('of the gateway'),
  ...requests('of the gateway'),
  max_body: size().optional().describe('Largest request body on routes without `http.max_body`; unset: any size'),
  ramp,
  memory: z
    .strictObject({
      history: size()
        .optional()
        .describe('Histories of all rooms, with `broker: memory`; unset: a quarter of the heap'),
      queues: size()
        .refine((bytes) => bytes >= 1024 * 1024, 'must be at least 1MiB')
        .optional()
        .describe(
          'Messages that wait for slow clients, webhook backends and the broker, and incomplete messages; unset: a quarter of the heap',
        ),
    })
    .prefault({})
    .describe('Memory of this process for messages, over all connections and rooms'),
  shared: sharedStore()
    .prefault('memory')
    .describe('Where rates are counted: in this process, in the Redis of `broker` (`redis`), or in another Redis'),
});
