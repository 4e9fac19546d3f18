// The REST backend of the demo: a page, and a few answers that show what a gateway does to a request on its way. Real
// HTTP, but nobody's production server.
import type { IncomingMessage, ServerResponse } from 'node:http';

type RestHandler = (request: IncomingMessage, response: ServerResponse) => void;

interface Resource {
  readonly methods: readonly string[];
  readonly answer: RestHandler;
}

const TICK_MS = 1000;
const READ = ['GET', 'HEAD'];
/** The page is one file with its script and style in it, and speaks to WebSockets only. */
const PAGE_POLICY =
  "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** The request listener; `page` is the HTML of `/`. */
export function createRest(page: string): RestHandler {
  const resources: Readonly<Record<string, Resource>> = {
    '/': { methods: READ, answer: (request, response) => sendWelcome(request, response, page) },
    '/api/hello': { methods: READ, answer: (_, response) => sendJson(response, 200, { hello: 'world' }) },
    '/api/headers': { methods: READ, answer: sendReceived },
    '/api/events': { methods: READ, answer: sendEvents },
    '/api/echo': { methods: ['POST', 'PUT', 'PATCH'], answer: sendBack },
  };
  return (request, response) => {
    const path = (request.url ?? '/').replace(/\?.*$/s, '');
    const resource = Object.hasOwn(resources, path) ? resources[path] : undefined;
    if (resource === undefined) {
      sendJson(response, 404, { error: 'not found', path, try: Object.keys(resources) });
    } else if (!resource.methods.includes(request.method ?? '')) {
      response.setHeader('Allow', resource.methods.join(', '));
      sendJson(response, 405, { error: 'method not allowed', allow: resource.methods });
    } else {
      resource.answer(request, response);
    }
  };
}

/** Answers plain HTTP where there are WebSockets only. */
export const upgradeRequired: RestHandler = (_, response) => {
  response.setHeader('Upgrade', 'websocket');
  response.setHeader('Connection', 'Upgrade, close');
  sendJson(response, 426, { error: 'this is a WebSocket server' });
};

/** The page to a browser; a program in a terminal gets what to try next. */
function sendWelcome(request: IncomingMessage, response: ServerResponse, page: string): void {
  response.setHeader('Vary', 'Accept');
  if (request.headers.accept?.includes('text/html')) sendPage(response, page);
  else sendJson(response, 200, { hello: 'from the REST backend of the demo', try: ['/api/hello', '/api/headers'] });
}

function sendPage(response: ServerResponse, page: string): void {
  response.writeHead(200, {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Length': Buffer.byteLength(page),
    'Cache-Control': 'no-store',
    'Content-Security-Policy': PAGE_POLICY,
  });
  response.end(page);
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = `${JSON.stringify(value, null, 2)}\n`;
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
  response.end(body);
}

/** The request as it arrived here: names as they were spelt, in their order, each line by itself. */
function sendReceived(request: IncomingMessage, response: ServerResponse): void {
  const raw = request.rawHeaders;
  const fields = raw.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${raw[index + 1] ?? ''}`] : []));
  const { method, url, httpVersion, socket } = request;
  sendJson(response, 200, { method, target: url, httpVersion, peer: socket.remoteAddress ?? '', fields });
}

/** The body as it comes, under its own type; never as a page of this origin. */
function sendBack(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader('Content-Type', request.headers['content-type'] ?? 'application/octet-stream');
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.setHeader('Content-Security-Policy', 'sandbox');
  request.on('error', () => response.destroy());
  request.pipe(response);
}

/** Server-Sent Events: a tick at once and each second, until the client leaves. */
function sendEvents(request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  let tick = 0;
  const send = (): void => {
    tick++;
    response.write(`id: ${tick}\ndata: ${JSON.stringify({ tick, time: new Date().toISOString() })}\n\n`);
  };
  const ticking = setInterval(send, TICK_MS);
  response.on('close', () => clearInterval(ticking));
  send();
}
