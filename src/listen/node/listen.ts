// node's HTTP/1.1 server for a listener: its timeouts and bounds, and the answer when a head could not be read. Requests are
// handled in requests.ts.
import http from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import { peerOf } from '../../actions/peer.ts';
import { rejectUpgrade } from '../../actions/reject.ts';
import { guarded, ignore } from '../../base/guard.ts';
import type { ListenerConfig } from '../../config/schema/schema.ts';
import type { Emit } from '../../events.ts';
import { KEEPALIVE_MS } from '../../net/dial.ts';
import { onLastAnswer, responseUnderWay, setMaxHeaderSize } from '../../net/node-internals.ts';
import type { Gateway } from '../../pipeline/requests.ts';
import { writeOctets } from '../../proxy/framing.ts';
import type { HttpServer } from '../http-server.ts';
import { hasReceived } from '../node-acceptor.ts';
import type { TlsServer } from '../tls-server.ts';
import { hasBody } from './client.ts';
import { watchHalfClose } from './half-close.ts';
import { detachParser, lingeringClose } from './lingering-close.ts';
import { rejectParserError } from './parser-errors.ts';
import { afterEarlierAnswers } from './pipelining.ts';
import { NodeRequests } from './requests.ts';
import { onNodeUpgrade } from './upgrades.ts';

/** Milliseconds between two checks of node for connections that have timed out. */
const CHECK_MS = 1000;

/** A server that does not listen yet; without `tls` it speaks plain HTTP. */
export function openNodeServer(
  config: ListenerConfig,
  tls: TlsServer | null,
  gateway: Gateway,
  emit: Emit,
): HttpServer {
  const server = createServer(config, tls);
  const requests = new NodeRequests(gateway, emit);
  serveGateway(server, { requests, gateway, emit });
  return {
    server,
    http1: null,
    configure: (next) => configureServer(server, next),
    closeIdle: () => requests.queue.closeIdle(),
    cut: () => server.closeAllConnections(),
  };
}

function createServer(config: ListenerConfig, tls: TlsServer | null): http.Server | https.Server {
  const options = {
    // Our own check covers it, with a complete answer.
    requireHostHeader: false,
    insecureHTTPParser: false,
    connectionsCheckingInterval: CHECK_MS,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEPALIVE_MS,
    maxHeaderSize: config.max_head,
    // From node 22.21 and 24.9 on. An upgrade with a body is none of ours, and node 26 would keep the body to itself. What
    // came in one piece behind such a request node then loses, so it is the last one of its connection (requests.ts).
    shouldUpgradeCallback: (req: http.IncomingMessage) => !hasBody(req),
  };
  if (tls === null) return http.createServer(options);
  return https.createServer({
    ...options,
    ...tls.options(),
    handshakeTimeout: config.timeouts.tls_handshake,
  });
}

/** Applies the settings of a server that may change at a reload. */
function configureServer(server: http.Server, { timeouts, max_head }: ListenerConfig): void {
  server.headersTimeout = timeouts.head;
  server.keepAliveTimeout = timeouts.keep_alive;
  // A body may take as long as it flows; the engine watches it.
  server.requestTimeout = 0;
  server.timeout = 0;
  // node would drop the fields past the limit and with them perhaps Origin: all are read, and too many are refused.
  server.maxHeadersCount = 0;
  setMaxHeaderSize(server, max_head);
}

/** The gateway's handlers for what comes on a server. */
interface Served {
  readonly requests: NodeRequests;
  readonly gateway: Gateway;
  readonly emit: Emit;
}

/**
 * Hands the requests and handshakes of a server to the gateway, and answers heads that can't be read. Called once; failures of
 * the listening socket are the caller's.
 */
function serveGateway(server: http.Server | https.Server, { requests, gateway, emit }: Served): void {
  const { onRequest, queue } = requests;
  server.on('request', onRequest);
  // The backend answers `Expect: 100-continue` and any other expectation, not node.
  server.on('checkContinue', onRequest);
  server.on('checkExpectation', onRequest);
  const onUpgrade = guarded(
    'handshake',
    (req: http.IncomingMessage, socket: Socket, rest: Buffer) => {
      queue.release(socket);
      return onNodeUpgrade(gateway.handshakes, req, { server, socket, rest });
    },
    (_req, socket) => socket.destroy(),
  );
  server.on('upgrade', onUpgrade);
  server.on('connect', onUpgrade);
  const refuse = guarded(
    'connection',
    (error: Error, socket: Socket) => refuseUnreadable(error, socket, emit),
    (_error, socket) => socket.destroy(),
  );
  server.on('clientError', (error, socket) => refuse(error, socket as Socket));
  const accepted = server instanceof https.Server ? 'secureConnection' : 'connection';
  server.on(accepted, (socket: Socket) => {
    onLastAnswer(socket, lingeringClose);
    writeOctets(socket);
  });
  watchHalfClose(server, queue, accepted);
}

/** Answers a client whose head could not be read or did not arrive; none of its earlier answers is cut short. */
async function refuseUnreadable(error: Error, socket: Socket, emit: Emit): Promise<void> {
  socket.on('error', ignore);
  // The client has left in the middle of a body.
  if (socket.destroyed) return;
  const rejection = rejectParserError(error);
  const pending = responseUnderWay(socket);
  // A client that has sent nothing gets no answer; an answer that has begun can't be replaced.
  if (rejection === null || !hasReceived(socket) || pending?.headersSent === true) {
    socket.destroy();
    return;
  }
  detachParser(socket);
  // Its own body may be what is malformed, and then its answer will not come.
  const earlier = pending?.req.complete;
  if (earlier && !(await afterEarlierAnswers(socket))) return;
  if (responseUnderWay(socket)?.headersSent) {
    socket.destroy();
    return;
  }
  rejectUpgrade(socket, rejection, null);
  const client = peerOf(socket).address;
  const { status, reason, detail } = rejection;
  emit({ type: 'head_refused', protocol: '1.1', client, status, reason, detail });
}
