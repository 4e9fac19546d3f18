// The admin listener: `/metrics` for Prometheus, `/healthz` and `/readyz` for supervisors and load balancers, the API for
// backends (api.ts) and the console (console.ts). The content of the answers comes from functions in the options. Clients of
// the gateway have no access.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, isIP, type Socket } from 'node:net';
import { background, guarded, ignore } from '../base/guard.ts';
import { MemoryBudget } from '../base/memory-budget.ts';
import { asGatewayError } from '../errors.ts';
import { lowerNames, valuesOf } from '../http/fields.ts';
import { plainAddress } from '../http/forwarding/addresses.ts';
import { comparedHost, parseAuthority } from '../http/target.ts';
import { watchHalfClose } from '../listen/node/half-close.ts';
import { lingeringClose } from '../listen/node/lingering-close.ts';
import { PipelineQueue } from '../listen/node/pipelining.ts';
import { closeListeningSocket, descriptorOf, onLastAnswer } from '../net/node-internals.ts';
import { type AdminPage, type AdminResponse, problem, text } from './answer.ts';
import { presentsPassword, presentsToken } from './bearer.ts';

export interface AdminOptions {
  /** The exposition in the form that the Accept field asks for. */
  readonly render: (accept?: string) => Promise<{ readonly contentType: string; readonly body: string }>;
  /** True while new traffic is accepted; else false, or a short reason. */
  readonly ready: () => boolean | string;
  /** What is degraded while traffic is still accepted, in a few words; null: nothing. */
  readonly degraded: () => string | null;
  /** Answers requests of the API; null if the path is not one of the API's. */
  readonly api: (req: IncomingMessage) => Promise<AdminResponse | null>;
  /** More pages, by path; each gets the query. */
  readonly pages: ReadonlyMap<string, AdminPage>;
  /** The token for everything except the probes if the listener is not on loopback; undefined: nobody has access. */
  readonly token: () => string | undefined;
  /** Host names, in lower case, that requests for API and pages may have besides IP addresses and `localhost`. */
  readonly hosts: () => readonly string[];
}

export interface Admin {
  /** Binds and returns the address; rejects with the system's error. */
  listen(host: string, port: number): Promise<AddressInfo>;
  /** Accepts from a socket that another process has opened. */
  listenOn(fd: number): AddressInfo;
  /** The descriptor of its listening socket, which remains its own. */
  readonly fd: number;
  /** Stops accepting from a socket that other processes share; open connections go on, except idle ones. */
  release(): void;
  /** Stops; running requests have one second to end. */
  close(): Promise<void>;
}

type Page = (req: IncomingMessage, query: string) => AdminResponse | Promise<AdminResponse>;

const METHODS = ['GET', 'HEAD'];
/** Scrapers keep their connection from one scrape to the next; a usual interval is up to a minute. */
const KEEP_ALIVE_MS = 75_000;
const REQUEST_MS = 10_000;
const CLOSE_MS = 1000;
const MAX_CONNECTIONS = 256;
/** Bounds the requests that wait behind others of their connection. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;

/** The admin listener, not bound yet: probes, metrics, pages and the API. */
export function createAdmin(options: AdminOptions): Admin {
  const probes: ReadonlyMap<string, Page> = new Map<string, Page>([
    ['/metrics', (req) => metrics(options, req)],
    ['/healthz', () => text(200, 'ok')],
    ['/readyz', () => readiness(options.ready(), options.degraded())],
  ]);
  // Until it is bound and known to be on loopback, assume that anyone can reach it.
  let exposed = true;
  const answer = (req: IncomingMessage) => answerRequest(options, probes, { req, exposed });
  const pipelineQueue = new PipelineQueue(new MemoryBudget(MAX_WAITING_BYTES));
  const server = createServer(
    {
      maxHeaderSize: 16 * 1024,
      headersTimeout: REQUEST_MS,
      requestTimeout: REQUEST_MS,
      connectionsCheckingInterval: 1000,
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    (req, res) => {
      pipelineQueue.take(req, res, () => {
        if (!res.destroyed) background('admin', serve(answer, req, res), () => res.destroy());
      });
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  server.on('connection', (socket: Socket) => onLastAnswer(socket, lingeringClose));
  watchHalfClose(server, pipelineQueue, 'connection');
  const refuse = guarded(
    'admin',
    (socket: Socket) => {
      if (!socket.writable) return void socket.destroy();
      socket.write('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      socket.destroySoon();
    },
    (socket) => socket.destroy(),
  );
  server.on('clientError', (_, socket) => refuse(socket as Socket));
  return {
    listen: async (host, port) => {
      const bound = await listen(server, host, port);
      exposed = !isLoopback(bound.address);
      return bound;
    },
    listenOn: (fd) => {
      server.on('error', ignore);
      server.listen({ fd });
      const bound = server.address() as AddressInfo;
      exposed = !isLoopback(bound.address);
      return bound;
    },
    get fd() {
      return descriptorOf(server);
    },
    release: () => {
      closeListeningSocket(server);
      server.closeIdleConnections();
    },
    close: () => close(server),
  };
}

/** Headers against pages of other origins; an answer that is not a page may load nothing. */
const GUARDS = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
};

async function serve(
  answer: (req: IncomingMessage) => Promise<AdminResponse>,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const { status, contentType, body, fields, stream } = await answer(req);
  if (stream !== undefined && req.method === 'GET') {
    res.writeHead(status, { 'Content-Type': contentType ?? 'text/plain', ...GUARDS, ...fields });
    stream(res);
    return;
  }
  const bytes = Buffer.from(body);
  res.writeHead(status, {
    ...(contentType === null ? {} : { 'Content-Type': contentType, 'Content-Length': bytes.length }),
    ...GUARDS,
    // An unread body must not block the connection.
    ...(req.complete || METHODS.includes(req.method ?? '') ? {} : { Connection: 'close' }),
    ...fields,
  });
  res.end(req.method === 'HEAD' ? undefined : bytes);
}

interface AdminRequest {
  readonly req: IncomingMessage;
  /** Whether other machines can reach the listener. */
  readonly exposed: boolean;
}

async function answerRequest(
  options: AdminOptions,
  probes: ReadonlyMap<string, Page>,
  { req, exposed }: AdminRequest,
): Promise<AdminResponse> {
  const [path = '', ...query] = (req.url ?? '').split('?');
  try {
    const probe = probes.get(path);
    if (probe) return await get(req, () => probe(req, ''));
    if (!mayAsk(req, options.hosts()))
      return problem(403, 'host', 'ask by an IP address, localhost, or a name in admin.hosts of the config');
    const answer = await options.api(req);
    if (answer !== null) return answer;
    const refused = exposed ? refuse(options.token(), req) : null;
    if (refused !== null) return refused;
    const page = options.pages.get(path);
    return page ? await get(req, () => page(query.join('?'))) : text(404, 'not found');
  } catch (error) {
    return text(500, asGatewayError(error, 'admin').message);
  }
}

function get(
  req: IncomingMessage,
  page: () => AdminResponse | Promise<AdminResponse>,
): AdminResponse | Promise<AdminResponse> {
  if (METHODS.includes(req.method ?? '')) return page();
  return { ...text(405, 'method not allowed'), fields: { Allow: METHODS.join(', ') } };
}

/** Checks the token for a page; the API checks it itself. A browser may send the token as a password, because pages only read. */
function refuse(token: string | undefined, { headers: { authorization } }: IncomingMessage): AdminResponse | null {
  if (token === undefined)
    return problem(
      403,
      'api_off',
      'on this address all but /metrics, /healthz and /readyz needs admin.token in the config',
    );
  if (presentsToken(authorization, token) || presentsPassword(authorization, token)) return null;
  return problem(401, 'unauthorized', 'the token is missing or wrong', {
    'WWW-Authenticate': 'Basic realm="upgate admin", charset="UTF-8", Bearer',
  });
}

function isLoopback(address: string): boolean {
  return address === '::1' || plainAddress(address).startsWith('127.');
}

/**
 * A web page can make its own host name resolve to this address ("DNS rebinding") and then has the same origin as this
 * listener. Its name in Host shows that. No foreign page has an IP address as its origin here.
 */
function mayAsk({ rawHeaders }: IncomingMessage, hosts: readonly string[]): boolean {
  const [host = '', ...further] = valuesOf({ fields: rawHeaders, names: lowerNames(rawHeaders) }, 'host');
  const authority = further.length === 0 ? parseAuthority(host) : null;
  if (authority === null) return false;
  const name = authority.host;
  return (
    name.startsWith('[') ||
    isIP(name) !== 0 ||
    name === 'localhost' ||
    hosts.some((listed) => comparedHost(listed) === name)
  );
}

async function metrics({ render }: AdminOptions, req: IncomingMessage): Promise<AdminResponse> {
  return { status: 200, ...(await render(req.headers.accept)), fields: { Vary: 'Accept' } };
}

function readiness(ready: boolean | string, degraded: string | null): AdminResponse {
  // Degraded still answers 200: if all gateways lack the broker, a balancer would remove all of them.
  if (ready === true) return text(200, degraded === null ? 'ok' : `degraded: ${degraded}`);
  return text(503, ready === false ? 'not ready' : ready);
}

function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      // For example too many open files: the next connection may succeed.
      server.on('error', ignore);
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
