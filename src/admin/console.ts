// The page of the admin listener (status and console), the API's document, and the two questions that the page asks: which routes there are, and what would become of a
// handshake, since a browser hides the answer to one that was refused. The page itself is page/, served as it stands.
import { readFileSync } from 'node:fs';
import { parametersOf } from '../http/query.ts';
import { explain } from '../routing/explain/explain.ts';
import { parseExplainRequest } from '../routing/explain/explain-request.ts';
import type { Snapshot } from '../runtime/snapshot.ts';
import { type AdminPage, type AdminResponse, json, problem } from './answer.ts';
import { buildOpenApi } from './openapi.ts';

/** Where clients connect. */
export interface ListeningAt {
  readonly port: number;
  readonly tls: boolean;
}

export interface ConsoleOptions {
  readonly snapshot: () => Snapshot;
  readonly listening: () => readonly ListeningAt[];
  /** The gateway's, for the API's document. */
  readonly version: string;
}

/** Nothing inline, nothing from elsewhere; sockets may be opened to anywhere, which is what the page is for. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self' ws: wss:",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const FIELDS = {
  'Content-Security-Policy': POLICY,
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

/** The pages by path. Throws where their files are not beside this one. */
export function createConsole(options: ConsoleOptions): ReadonlyMap<string, AdminPage> {
  const document = json(200, buildOpenApi(options.version));
  return new Map<string, AdminPage>([
    ['/openapi.json', () => document],
    ['/', asset('index.html', 'text/html; charset=utf-8')],
    ...['console.css', 'status.css'].map((file) => [`/${file}`, asset(file, 'text/css; charset=utf-8')] as const),
    ...['shell.js', 'console.js', 'status.js', 'parts.js'].map(
      (file) => [`/${file}`, asset(file, 'text/javascript; charset=utf-8')] as const,
    ),
    ['/explain', (query) => explainUrl(options.snapshot(), parametersOf(query))],
    ['/routes', () => listRoutes(options)],
  ]);
}

function asset(file: string, contentType: string): AdminPage {
  const body = readFileSync(new URL(`page/${file}`, import.meta.url));
  return () => ({ status: 200, contentType, body, fields: FIELDS });
}

function explainUrl({ config, table, trusted }: Snapshot, query: URLSearchParams): AdminResponse {
  const url = query.get('url');
  if (url === null) return problem(400, 'malformed', 'url is missing');
  const given = ['origin', 'version', 'protocol', 'from'].map((name) => [name, query.get(name) ?? undefined]);
  const request = parseExplainRequest(url, { ...Object.fromEntries(given), header: query.getAll('header') });
  if (typeof request === 'string') return problem(400, 'malformed', request);
  // The answer has no token in it.
  const { lines, status, reason } = explain(table, request, { trusted, upstreams: config.upstreams });
  return json(200, { lines, status, reason });
}

/** A websocket route once for each host and path that it matches. */
function listRoutes({ snapshot, listening }: ConsoleOptions): AdminResponse {
  const routes = snapshot().config.routes.flatMap(({ name, match, websocket }) => {
    if (websocket === undefined) return [];
    const serves = websocket.mode === 'splice' ? websocket.upstream : websocket.handler;
    const shared = { mode: websocket.mode, serves, subprotocols: websocket.subprotocols ?? [] };
    return (match.host ?? [null]).flatMap((host) => match.path.map((path) => ({ name, host, path, ...shared })));
  });
  return json(200, { listeners: listening().map(({ port, tls }) => ({ port, tls })), routes });
}
