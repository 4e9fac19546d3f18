// One address where clients connect: binding it, every timeout and bound on what a client may make us hold, and what is
// answered when not even a head could be read. What happens to a request is requests.ts.

import { unlink } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import net, { type AddressInfo, type Socket } from 'node:net';
import { peerOf } from '../actions/peer.ts';
import { rejectUpgrade } from '../actions/reject.ts';
import { guarded, ignore } from '../base/guard.ts';
import type { ListenerConfig } from '../config/schema/schema.ts';
import { systemCode } from '../errors.ts';
import type { Emit } from '../events.ts';
import type { AcceptHandle, Acceptor } from '../net/acceptor.ts';
import { KEEPALIVE_MS } from '../net/dial.ts';
import { onLastAnswer, responseUnderWay, setMaxHeaderSize } from '../net/node-internals.ts';
import { watchHalfClose } from '../pipeline/half-close.ts';
import { detachParser, lingeringClose } from '../pipeline/lingering-close.ts';
import { afterEarlierAnswers } from '../pipeline/pipelining.ts';
import type { Gateway } from '../pipeline/requests.ts';
import { hasBody, writeOctets } from '../proxy/node-client.ts';
import type { ClientAuthMode } from '../runtime/tls/client-auth.ts';
import { swapTls, type TlsMaterial, tlsServerOptions } from '../runtime/tls/tls.ts';
import { AcceptFailures, SHORTAGE } from './accept-failures.ts';
import type { FdGuard } from './fd-limit.ts';
import { Http2Listener } from './http2/http2-listener.ts';
import { NativeAcceptor } from './native-acceptor.ts';
import { hasReceived } from './node-acceptor.ts';
import { rejectParserError } from './parser-errors.ts';
import { ProxyPreambleFilter } from './proxy-preamble.ts';

/** How often node looks for connections that are over their time. */
const CHECK_MS = 1000;

/** The address that identifies a listener: `host:port`, or the path of its socket. */
export function addressOf(config: ListenerConfig): string {
  if (config.unix !== undefined) return config.unix;
  const host = config.host ?? '::';
  return `${net.isIP(host) === 6 ? `[${host}]` : host}:${config.port}`;
}

export interface ListenerServices {
  readonly gateway: Gateway;
  /** What accepts connections without node; null where node has to. */
  readonly acceptor: Acceptor | null;
  readonly emit: Emit;
  readonly fds: FdGuard;
}

export class Listener {
  readonly address: string;
  readonly #gateway: Gateway;
  readonly #emit: Emit;
  readonly #fds: FdGuard;
  readonly #server: http.Server | https.Server;
  readonly http2: Http2Listener;
  readonly #preambleFilter: ProxyPreambleFilter;
  readonly #acceptor: Acceptor | null;
  #acceptHandle: AcceptHandle | null = null;
  #bound: AddressInfo | string | null = null;
  #config: ListenerConfig;
  #tls: TlsMaterial | null;
  readonly #failures: AcceptFailures;

  constructor(config: ListenerConfig, tls: TlsMaterial | null, { gateway, acceptor, emit, fds }: ListenerServices) {
    this.address = addressOf(config);
    this.#config = config;
    this.#tls = tls;
    this.#gateway = gateway;
    this.#emit = emit;
    this.#failures = new AcceptFailures(this.address, emit);
    this.#fds = fds;
    // TLS and what passes on a unix socket are node's from the beginning.
    this.#acceptor = tls === null && config.unix === undefined ? acceptor : null;
    this.http2 = new Http2Listener(config, gateway, emit);
    this.#server = this.#create();
    this.#attach();
    if (tls !== null) this.http2.takeByAlpn(this.#server);
    this.#preambleFilter = new ProxyPreambleFilter(this.#server, {
      address: this.address,
      over: config.unix === undefined ? 'tcp' : 'unix',
      emit,
      admits: (connection) => {
        if (this.#fds.admits(connection)) return true;
        this.#failures.report(SHORTAGE);
        return false;
      },
      deliver: (socket, http1) => this.http2.takeByPreface(socket, http1),
    });
    this.#configure();
  }

  /** Whether it speaks TLS; a listener can't change that while it is bound. */
  get secure(): boolean {
    return this.#tls !== null;
  }

  /** Whether clients are asked for certificates, which can't change either. */
  get clientAuth(): ClientAuthMode | null {
    return this.#tls?.clientAuth ?? null;
  }

  /** What it is bound to, once it is. */
  bound(): AddressInfo | string | null {
    return this.#bound;
  }

  /** Binds; rejects with the system's error. */
  async listen(): Promise<void> {
    const { unix, port, host } = this.#config;
    if (unix !== undefined) {
      await removeStale(unix);
      return this.#bind({ path: unix });
    }
    try {
      await this.#bind({ host: host ?? '::', port });
    } catch (error) {
      // `::` takes both families; without IPv6 there is one.
      if (host !== undefined || systemCode(error) !== 'EAFNOSUPPORT') throw error;
      await this.#bind({ host: '0.0.0.0', port });
    }
  }

  /** Takes a new config of the same address; connections that are open are not touched. */
  update(config: ListenerConfig, tls: TlsMaterial | null): void {
    this.#config = config;
    this.#tls = tls;
    this.#configure();
    if (tls !== null) swapTls(this.#server as https.Server, tls);
  }

  /** Closes the listening socket; resolves when it is closed. Open connections go on; idle ones are ended. */
  close(): void {
    this.#bound = null;
    this.#acceptHandle?.close();
    this.http2.close();
    this.#server.close();
    this.#server.closeIdleConnections();
  }

  /** Closes connections that are kept open between requests. */
  closeIdle(): void {
    this.http2.closeIdle();
    this.#server.closeIdleConnections();
  }

  /** Destroys the connections that node's server still knows, which is all but upgraded ones. */
  cut(): void {
    this.#preambleFilter.cut();
    this.http2.cut();
    this.#server.closeAllConnections();
  }

  #create(): http.Server | https.Server {
    const options = {
      // Our own judgement covers it, with a whole answer.
      requireHostHeader: false,
      insecureHTTPParser: false,
      connectionsCheckingInterval: CHECK_MS,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEPALIVE_MS,
      maxHeaderSize: this.#config.max_head,
      // From node 22.21 and 24.9 on. An upgrade with a body is none of ours, and node 26 would keep the body to itself. What
      // came in one piece behind such a request node then loses, so it is the last one of its connection (requests.ts).
      shouldUpgradeCallback: (req: http.IncomingMessage) => !hasBody(req),
    };
    if (this.#tls === null) return http.createServer(options);
    return https.createServer({
      ...options,
      // As http has it by itself.
      allowHalfOpen: true,
      ...tlsServerOptions(() => this.#tls as TlsMaterial),
      ALPNCallback: this.http2.chooseProtocol,
      handshakeTimeout: this.#config.timeouts.tls_handshake,
    });
  }

  /** Everything that may change at a reload. */
  #configure(): void {
    const server = this.#server;
    const { timeouts, max_head, proxy_protocol } = this.#config;
    this.#preambleFilter.configure(proxy_protocol);
    this.http2.configure(this.#config);
    server.headersTimeout = timeouts.head;
    server.keepAliveTimeout = timeouts.keep_alive;
    // A body may take as long as it flows; the engine watches it.
    server.requestTimeout = 0;
    server.timeout = 0;
    // node would drop the fields past the limit and with them perhaps Origin: all are read, and too many are refused.
    server.maxHeadersCount = 0;
    setMaxHeaderSize(server, max_head);
  }

  #attach(): void {
    const server = this.#server;
    const { onRequest, acceptPriority } = this.#gateway;
    server.on('connection', () => {
      // The native acceptor's come as many at a time as there are.
      if (this.#acceptHandle === null) acceptPriority.onConnection();
    });
    server.on('request', onRequest);
    // The backend answers `Expect: 100-continue` and any other expectation, not node.
    server.on('checkContinue', onRequest);
    server.on('checkExpectation', onRequest);
    const onUpgrade = guarded(
      'handshake',
      (req: http.IncomingMessage, socket: Socket, rest: Buffer) => {
        this.#gateway.pipelineQueue.release(socket);
        this.#gateway.handshakes.onUpgrade(server, req, socket, rest);
      },
      (_req, socket) => socket.destroy(),
    );
    server.on('upgrade', onUpgrade);
    server.on('connect', onUpgrade);
    const refuse = guarded(
      'connection',
      (error: Error, socket: Socket) => this.#refuse(error, socket),
      (_error, socket) => socket.destroy(),
    );
    server.on('clientError', (error, socket) => refuse(error, socket as Socket));
    server.on('error', (error) => this.#server.listening && this.#failures.report(error));
    const accepted = this.secure ? 'secureConnection' : 'connection';
    server.on(accepted, (socket: Socket) => {
      onLastAnswer(socket, lingeringClose);
      writeOctets(socket);
    });
    watchHalfClose(server, this.#gateway.pipelineQueue, accepted);
    // A broken or stalled TLS handshake concerns nobody but its client.
    server.on('tlsClientError', (_error, socket) => socket.destroy());
  }

  #bind(options: net.ListenOptions): Promise<void> {
    const server = this.#server;
    return new Promise((resolve, fail) => {
      const onError = (error: Error): void => fail(error);
      server.once('error', onError);
      server.listen({ ...options, backlog: 4096 }, () => {
        server.removeListener('error', onError);
        this.#bound = server.address();
        if (this.#acceptor !== null) this.#acceptHandle = this.#openAcceptor(this.#acceptor);
        resolve();
      });
    });
  }

  /** Answers a client whose head could not be read or did not arrive; none of its earlier answers is cut short. */
  async #refuse(error: Error, socket: Socket): Promise<void> {
    socket.on('error', ignore);
    // The client has left in the middle of a body.
    if (socket.destroyed) return;
    const rejection = rejectParserError(error);
    const pending = responseUnderWay(socket);
    // A client that has sent nothing gets none; an answer that has begun can't be taken back.
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
    this.#emit({ type: 'head_refused', protocol: '1.1', client, status, reason, detail });
  }

  /** Connections are accepted natively from here on, where that can be. */
  #openAcceptor(acceptor: Acceptor): AcceptHandle | null {
    const nativeAcceptor = new NativeAcceptor(this.#server, {
      acceptor,
      offer: (...args) => this.#gateway.handshakes.offer(...args),
      // What comes first may be a preamble, and what a head may be changes with the config.
      maxHead: () => (this.#config.proxy_protocol === undefined ? this.#config.max_head : null),
      onAccepted: (connection) => void this.#fds.admits(connection),
      onFailed: (error) => {
        this.#fds.relieve();
        this.#failures.report(error);
      },
    });
    return nativeAcceptor.open();
  }
}

/** A socket file that nobody listens on any more is in the way of binding. */
async function removeStale(path: string): Promise<void> {
  const code = await new Promise<string | undefined>((resolve) => {
    const probe = net.connect({ path }, () => {
      probe.destroy();
      resolve(undefined);
    });
    probe.once('error', (error) => resolve(systemCode(error)));
  });
  if (code === 'ECONNREFUSED') await unlink(path);
}
