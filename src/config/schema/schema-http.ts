// The parts of gateway.yaml that are about plain HTTP beyond its upstream: how requests and answers are changed on their
// way, and routes that the gateway answers itself.
import * as z from 'zod';
import { count, duration, port, sizeLimit } from './schema-values.ts';

const fieldMap = () => z.record(z.string(), z.string());

const fieldRules = () =>
  z.strictObject({
    set: fieldMap().optional().describe('Fields that replace those of the same name'),
    append: fieldMap().optional().describe('Fields that are added to those of the same name'),
    remove: z.array(z.string()).optional().describe('Names of fields that are removed'),
  });

/** What of the header fields a route changes. */
export const headers = z.strictObject({
  request: fieldRules()
    .optional()
    .describe('Fields of requests to the backend; values may contain variables such as `{client_ip}`'),
  response: fieldRules().optional().describe('Fields of answers to the client, with the same variables'),
});

/** Where a route's requests go on the backend. */
export const rewrite = z.strictObject({
  prefix: z
    .string()
    .optional()
    .describe('Replaces the part before `/*` of `match.path`; `/` removes it; unset: the path stays'),
  path: z.string().min(1).optional().describe('Replaces the whole path; the query stays'),
  host: z
    .string()
    .min(1)
    .prefault('keep')
    .describe('Host field for the backend: the client’s (`keep`), the server’s (`upstream`), or this one'),
  encoded_slashes: z
    .enum(['keep', 'decode', 'reject'])
    .prefault('keep')
    .describe('How `%2F` in a path is handled; `reject` answers 400'),
});

export const redirect = z.strictObject({
  status: z.literal([301, 302, 303, 307, 308]).prefault(308).describe('308 and 307 keep the method'),
  scheme: z.enum(['http', 'https']).optional().describe('Scheme of the new URL; unset: the client’s'),
  host: z.string().min(1).optional().describe('Host of the new URL; unset: the client’s'),
  port: port()
    .min(1)
    .optional()
    .describe('Port of the new URL; unset: none if the scheme or host changes, else the client’s'),
  path: z.string().min(1).optional().describe('The path of the new URL; unset: the client’s'),
  prefix: z.string().min(1).optional().describe('Replaces the part before `/*` of `match.path`'),
});

export const respond = z.strictObject({
  status: z.int().min(200).max(599).prefault(200).describe('Status of the answer'),
  body: z.string().optional().describe('Its body; unset: none'),
  content_type: z.string().min(1).prefault('text/plain; charset=utf-8').describe('Media type of the body'),
  headers: fieldMap().optional().describe('Further fields; values may contain variables'),
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
    .describe('Engine for plain requests to servers; `auto`: our own HTTP/1.1'),
  server: z.enum(['own', 'node']).prefault('own').describe("Server of HTTP/1.1 toward clients: our own, or node's"),
  forwarding: z
    .enum(['x-forwarded', 'forwarded', 'both'])
    .prefault('x-forwarded')
    .describe(
      "Fields with the client's address for the backend: `X-Forwarded-*`, `Forwarded` (RFC 7239), or both; for handshakes too",
    ),
  believe: z
    .enum(['auto', 'x-forwarded', 'forwarded'])
    .prefault('auto')
    .describe(
      'Which fields of a trusted proxy are used: those that it writes; `auto` is `x-forwarded`. The others never reach a backend',
    ),
  via: z
    .string()
    .prefault('off')
    .describe('The name in `Via` of requests, answers and handshakes (RFC 9110); `off`: no such field'),
});
