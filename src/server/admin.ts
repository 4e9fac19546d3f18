// The admin listener: `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever starts and stops gateways. What the
// answers are made of comes in as functions; clients of the gateway never get here.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface AdminOptions {
  /** The exposition in the form that the Accept field asks for. */
  readonly render: (accept?: string) => Promise<{ readonly contentType: string; readonly body: string }>;
  /** True while new traffic is welcome; else false, or the reason in a word or two. */
  readonly ready: () => boolean | string;
  /** What does not work as it should while traffic is still welcome, in a few words; null where all is well. */
  readonly degraded: () => string | null;
}

export interface Admin {
  /** Binds, and gives the address; rejects with the system's error where it can't. */
  listen(host: string, port: number): Promise<AddressInfo>;
  /** Stops; what is being answered has a second to end. */
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly fields?: Readonly<Record<string, string>>;
}

type Page = (req: IncomingMessage) => Answer | Promise<Answer>;

const TEXT = 'text/plain; charset=utf-8';
const METHODS = ['GET', 'HEAD'];
/** Scrapers keep their connection from one scrape to the next; a usual interval is up to a minute. */
const KEEP_ALIVE_MS = 75_000;
const REQUEST_MS = 10_000;
const CLOSE_MS = 1000;
const MOST_CONNECTIONS = 256;

export function createAdmin(options: AdminOptions): Admin {
  const pages: ReadonlyMap<string, Page> = new Map<string, Page>([
    ['/metrics', (req) => metrics(options, req)],
    ['/healthz', () => text(200, 'ok')],
    ['/readyz', () => readiness(options.ready(), options.degraded())],
  ]);
  const server = createServer(
    {
      maxHeaderSize: 16 * 1024,
      headersTimeout: REQUEST_MS,
      requestTimeout: REQUEST_MS,
      connectionsCheckingInterval: 1000,
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    (req, res) => {
      serve(pages, req, res).catch(() => res.destroy());
    },
  );
  server.maxConnections = MOST_CONNECTIONS;
  server.on('clientError', (_, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    else socket.destroy();
  });
  return { listen: (host, port) => listen(server, host, port), close: () => close(server) };
}

async function serve(pages: ReadonlyMap<string, Page>, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const { status, contentType, body, fields } = await answer(pages, req);
  const bytes = Buffer.from(body);
  res.writeHead(status, {
    'Content-Type': contentType,
    'Content-Length': bytes.length,
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    // A body nobody reads must not hold the connection.
    ...(METHODS.includes(req.method ?? '') ? {} : { Connection: 'close' }),
    ...fields,
  });
  res.end(req.method === 'HEAD' ? undefined : bytes);
}

async function answer(pages: ReadonlyMap<string, Page>, req: IncomingMessage): Promise<Answer> {
  const [path = ''] = (req.url ?? '').split('?');
  const page = pages.get(path);
  if (!page) return text(404, 'not found');
  if (!METHODS.includes(req.method ?? '')) {
    return { ...text(405, 'method not allowed'), fields: { Allow: METHODS.join(', ') } };
  }
  try {
    return await page(req);
  } catch (error) {
    return text(500, error instanceof Error ? error.message : String(error));
  }
}

async function metrics({ render }: AdminOptions, req: IncomingMessage): Promise<Answer> {
  return { status: 200, ...(await render(req.headers.accept)), fields: { Vary: 'Accept' } };
}

function readiness(ready: boolean | string, degraded: string | null): Answer {
  // Degraded is no reason to take traffic away: what all gateways lack would take away all of them.
  if (ready === true) return text(200, degraded === null ? 'ok' : `degraded: ${degraded}`);
  return text(503, ready === false ? 'not ready' : ready);
}

function text(status: number, body: string): Answer {
  return { status, contentType: TEXT, body: `${body}\n` };
}

function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      // Such as too many open files while accepting: the next connection may do better.
      server.on('error', () => {});
      resolve(server.address() as AddressInfo);
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), CLOSE_MS);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}
