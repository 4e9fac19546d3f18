// Request heads and route tables for tests: a valid handshake, a plain request, and either of them with one thing changed.
import { expect } from 'vitest';
import { schema } from '../../src/config/schema/schema.ts';
import { lowerNames } from '../../src/http/fields.ts';
import { plainAddress } from '../../src/http/forwarding/addresses.ts';
import { type Request, type RequestHead, readRequest } from '../../src/http/head.ts';
import { compileTable, type RouteTable } from '../../src/routing/table.ts';

/** What differs: `fields` replaces all lines of a field; a list is several lines, null removes it. */
export interface Change {
  readonly method?: string;
  readonly target?: string;
  readonly version?: string;
  /** Of HTTP/2, with this `:scheme`. */
  readonly http2?: RequestHead['http2'];
  readonly secure?: boolean;
  readonly peer?: string;
  readonly fields?: Readonly<Record<string, string | readonly string[] | null>>;
}

const PLAIN = [['Host', 'app.example.com']] as const;

const HANDSHAKE = [
  ...PLAIN,
  ['Upgrade', 'websocket'],
  ['Connection', 'Upgrade'],
  ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
  ['Sec-WebSocket-Version', '13'],
  ['Origin', 'https://app.example.com'],
] as const;

/** The handshake of RFC 6455 §1.3, more or less: valid, from the origin of its own host. */
export function handshakeHead(change: Change = {}): RequestHead {
  return changed(HANDSHAKE, change);
}

/** `GET /` with a Host and nothing else. */
export function plainHead(change: Change = {}): RequestHead {
  return changed(PLAIN, change);
}

function changed(base: readonly (readonly [string, string])[], change: Change): RequestHead {
  const changes = Object.entries(change.fields ?? {});
  const fields = base
    .filter(([name]) => !changes.some(([other]) => other.toLowerCase() === name.toLowerCase()))
    .flat() as string[];
  for (const [name, value] of changes) for (const line of [value ?? []].flat()) fields.push(name, line);
  return {
    method: change.method ?? 'GET',
    target: change.target ?? '/ws/chat',
    version: change.version ?? '1.1',
    fields,
    names: lowerNames(fields),
    http2: change.http2,
    secure: change.secure ?? false,
    peer: plainAddress(change.peer ?? '203.0.113.9'),
  };
}

/** A head that has passed readRequest. */
export function requestOf(head: RequestHead): Request {
  const request = readRequest(head);
  if ('fault' in request) throw new Error(request.fault);
  return request;
}

/** A config with these routes, and upstreams `chat` and `rest`. */
export function configOf(routes: readonly object[]) {
  return schema.parse({
    listeners: [{ port: 0 }],
    upstreams: {
      chat: { servers: ['ws://127.0.0.1:9001'] },
      rest: { servers: ['http://127.0.0.1:9002', 'http://127.0.0.1:9003'] },
    },
    routes,
  });
}

/** The table of these routes, which must be without a problem. */
export function tableOf(...routes: readonly object[]): RouteTable {
  const { table, problems } = compileTable(configOf(routes));
  expect(problems).toEqual([]);
  return table;
}

/** Route settings, shortened. */
export const splice = (rules: object = {}) => ({ websocket: { mode: 'splice', upstream: 'chat', ...rules } });
export const terminate = (rules: object = {}) => ({ websocket: { mode: 'terminate', handler: 'echo', ...rules } });
export const http = { http: { upstream: 'rest' } };
