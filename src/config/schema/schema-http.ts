// The parts of gateway.yaml that are about plain HTTP beyond its upstream: how requests and answers are changed on their
// way, and routes that the gateway answers itself.
import * as z from 'zod';
import { count, duration, port, sizeLimit } from './schema-values.ts';

const fieldMap = () => z.record(z.string(), z.string());

const fieldRules = () =>
  z.strictObject({
    set: fieldMap().optional().describe('Fields in place of those with the same name'),
    append: fieldMap().optional().describe('Fields beside those with the same name'),
    remove: z.array(z.string()).optional().describe('Names of fields that do not pass'),
  });

/** What of the header fields a route changes. */
export const headers = z.strictObject({
  request: fieldRules().optional().describe('Toward the backend; values may hold variables such as `{client_ip}`'),
  response: fieldRules().optional().describe('Toward the client; the same variables'),
});

/** Where a route's requests go on the backend. */
export const rewrite = z.strictObject({
  prefix: z
    .string()
    .optional()
    .describe('What the part before `/*` of `match.path` becomes; `/` takes it away; unset: the path stays'),
  path: z.string().min(1).optional().describe('The whole path on the backend, whatever the client’s; its query stays'),
  host: z
    .string()
    .min(1)
    .prefault('keep')
    .describe('Host for the backend: `keep` the client’s, `upstream` (the server’s own), or this one'),
  encoded_slashes: z
    .enum(['keep', 'decode', 'reject'])
    .prefault('keep')
    .describe('What becomes of `%2F` in a path; `reject` answers 400'),
});

export const redirect = z.strictObject({
  status: z.literal([301, 302, 303, 307, 308]).prefault(308).describe('308 and 307 keep the method'),
  scheme: z.enum(['http', 'https']).optional().describe('Unset: the one the client used'),
  host: z.string().min(1).optional().describe('Unset: the one the client asked for'),
  port: port().min(1).optional().describe('Unset: none where the scheme or host changes, else the client’s'),
  path: z.string().min(1).optional().describe('The whole path; unset: the path stays'),
  prefix: z.string().min(1).optional().describe('What the part before `/*` of `match.path` becomes'),
});

export const respond = z.strictObject({
  status: z.int().min(200).max(599).prefault(200).describe('Status of the answer'),
  body: z.string().optional().describe('Its body; unset: none'),
  content_type: z.string().min(1).prefault('text/plain; charset=utf-8').describe('What the body is'),
  headers: fieldMap().optional().describe('Further fields; values may hold variables'),
});

/** HTTP/2 of a listener that has it on. */
const http2Options = z.strictObject({
  extended_connect: z
    .boolean()
    .prefault(false)
    .describe(
      'Accept WebSockets over HTTP/2 (RFC 8441); browsers then use it for every socket of a page loaded over HTTP/2',
    ),
  prior_knowledge: z
    .boolean()
    .prefault(false)
    .describe('Without TLS: accept connections that start with the preface of HTTP/2, as from a proxy in front'),
  max_streams: count()
    .max(10_000)
    .prefault(128)
    .describe('Requests at a time on one connection, not counting open WebSockets'),
  window: sizeLimit()
    .refine((bytes) => bytes >= 65_535 && bytes <= 16 * 1024 * 1024, 'must be from 64KiB to 16MiB')
    .prefault('256KiB')
    .describe('What a client may send on a stream before it is read; the whole connection may send four times as much'),
});

/** `true` stands for an object with nothing in it; null: off. */
export const http2 = z
  .union([z.boolean(), http2Options])
  .transform((value) => (typeof value === 'boolean' ? (value ? http2Options.parse({}) : null) : value));

/** How plain requests move, whatever the route. */
export const http = z.strictObject({
  warm_up: duration().optional().describe('Does nothing: the gateway binds its listeners at once'),
  engine: z
    .enum(['auto', 'http-proxy'])
    .prefault('auto')
    .describe('What carries plain requests to servers; `auto`: HTTP/1.1 of our own'),
  server: z.enum(['own', 'node']).prefault('own').describe("Whose HTTP/1.1 clients speak to: `own`, or node's"),
  forwarding: z
    .enum(['x-forwarded', 'forwarded', 'both'])
    .prefault('x-forwarded')
    .describe('How a backend is told of the client: `X-Forwarded-*`, `Forwarded` (RFC 7239), or both; sessions too'),
  believe: z
    .enum(['auto', 'x-forwarded', 'forwarded'])
    .prefault('auto')
    .describe(
      'Which fields of a trusted proxy are believed: those it writes; `auto` is `x-forwarded`. The others never reach a backend',
    ),
  via: z
    .string()
    .prefault('off')
    .describe('The name in `Via` of requests and answers (RFC 9110); `off`: no such field; sessions too'),
});
