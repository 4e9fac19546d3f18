// One address where clients connect: binding, accepting, and what comes before a connection's first request: TLS, a PROXY
// preamble, the choice of HTTP/2. HTTP/1.1 is in http1/ or node/; requests are handled in requests.ts.

import net, { type AddressInfo, type Socket } from 'node:net';
import type { Server as NodeTlsServer } from 'node:tls';
import { ListenerRules } from '../actions/listener-rules.ts';
import type { Config, ListenerConfig } from '../config/schema/schema.ts';
import type { Emit } from '../events.ts';
import type { AcceptHandle, Acceptor } from '../net/acceptor.ts';
import { closeListeningSocket, descriptorOf } from '../net/node-internals.ts';
import type { Gateway } from '../pipeline/requests.ts';
import type { ClientAuthMode } from '../runtime/tls/client-auth.ts';
import type { TlsMaterial } from '../runtime/tls/tls.ts';
import { AcceptFailures, SHORTAGE } from './accept-failures.ts';
import { bindServer, listenOn, removePath } from './bind.ts';
import type { FdGuard } from './fd-limit.ts';
import type { HttpServer } from './http-server.ts';
import { openHttp1Server } from './http1/listen.ts';
import { Http2Listener } from './http2/http2-listener.ts';
import { NativeAcceptor } from './native-acceptor.ts';
import { openNodeServer } from './node/listen.ts';
import { ProxyPreambleFilter } from './proxy-preamble.ts';
import { NativeTls, tlsFallback, withoutNativeTls } from './tls-accept.ts';
import { type OpenTlsChallenges, TlsAlpnChallenges } from './tls-alpn-challenges.ts';
import { TlsServer } from './tls-server.ts';

/** The address that identifies a listener: `host:port`, or the path of its socket. */
export function addressOf(config: ListenerConfig): string {
  if (config.unix !== undefined) return config.unix;
  const host = config.host ?? '::';
  return `${net.isIP(host) === 6 ? `[${host}]` : host}:${config.port}`;
}

export interface ListenerServices {
  readonly gateway: Gateway;
  /** Accepts connections without node; null where node must accept them. */
  readonly acceptor: Acceptor | null;
  readonly emit: Emit;
  readonly fds: FdGuard;
  readonly challenges: OpenTlsChallenges;
}

/** A listener of the config with its TLS. */
export interface Wanted {
  readonly config: ListenerConfig;
  readonly tls: TlsMaterial | null;
  /** Which server of HTTP/1.1 it has; this can't change while it is bound. */
  readonly server: Config['http']['server'];
}

export class Listener {
  readonly address: string;
  readonly #gateway: Gateway;
  readonly #fds: FdGuard;
  readonly #http: HttpServer;
  readonly http2: Http2Listener;
  readonly #preambleFilter: ProxyPreambleFilter;
  readonly #acceptor: Acceptor | null;
  #acceptHandle: AcceptHandle | null = null;
  #bound: AddressInfo | string | null = null;
  /** The file of its unix socket, which is removed with it. */
  #path: string | null = null;
  #config: ListenerConfig;
  readonly #tls: TlsServer | null;
  readonly #rules: ListenerRules;
  /** Its part in the relay's threads; null: none. */
  readonly #nativeTls: NativeTls | null;
  readonly #failures: AcceptFailures;
  readonly #challenges: TlsAlpnChallenges;

  constructor({ config, tls, server }: Wanted, services: ListenerServices) {
    const { gateway, acceptor, emit, fds } = services;
    this.address = addressOf(config);
    this.#config = config;
    this.#gateway = gateway;
    this.#rules = new ListenerRules(config, tls);
    this.#failures = new AcceptFailures(this.address, emit);
    this.#fds = fds;
    this.#challenges = new TlsAlpnChallenges(services.challenges);
    // Connections on a unix socket are accepted by node.
    const why = tls === null ? null : withoutNativeTls(config, acceptor);
    this.#acceptor = why === null && config.unix === undefined ? acceptor : null;
    if (why !== null && config.tls?.engine === 'native') emit(tlsFallback(this.address, why));
    this.http2 = new Http2Listener(config, gateway, emit);
    const { address } = this;
    const { chooseProtocol } = this.http2;
    const spoken = tls === null ? null : new TlsServer(tls, { address, chooseProtocol, emit });
    this.#tls = spoken;
    this.#nativeTls = spoken && new NativeTls({ address, server: spoken, emit, config: () => this.#config });
    this.#http = (server === 'own' ? openHttp1Server : openNodeServer)(config, spoken, gateway, emit);
    this.#server.on('connection', () => {
      // The native acceptor delivers all pending connections at a time.
      if (this.#acceptHandle === null) gateway.acceptPriority.onConnection();
    });
    this.#server.on('error', (error) => this.#server.listening && this.#failures.report(error));
    if (tls !== null) this.http2.takeByAlpn(this.#server);
    this.#tls?.attach(this.#server as NodeTlsServer);
    this.#preambleFilter = new ProxyPreambleFilter(this.#server, {
      address: this.address,
      over: config.unix === undefined ? 'tcp' : 'unix',
      emit,
      rules: this.#rules,
      admits: (connection) => {
        if (this.#fds.admits(connection)) return true;
        this.#failures.report(SHORTAGE);
        return false;
      },
      deliver: (socket, http1) => this.#deliver(socket, http1),
    });
    this.#configure();
  }

  get #server(): HttpServer['server'] {
    return this.#http.server;
  }

  /** Whether it speaks TLS; a listener can't change that while it is bound. */
  get secure(): boolean {
    return this.#tls !== null;
  }

  /** Whether clients are asked for certificates, which can't change either. */
  get clientAuth(): ClientAuthMode | null {
    return this.#tls?.material.clientAuth ?? null;
  }

  /** What it is bound to, once it is. */
  bound(): AddressInfo | string | null {
    return this.#bound;
  }

  /** The descriptor of its listening socket, which remains its own. */
  get fd(): number {
    return this.#acceptHandle?.fd ?? descriptorOf(this.#server);
  }

  /** Binds; rejects with the system's error. */
  async listen(): Promise<void> {
    await bindServer(this.#server, this.#config);
    this.#path = this.#config.unix ?? null;
    this.#onBound();
  }

  /** Accepts from a socket that another process has opened, from this moment on. */
  listenOn(fd: number): void {
    listenOn(this.#server, fd);
    this.#onBound();
  }

  /** Takes a new config of the same address; connections that are open are not touched. */
  update(config: ListenerConfig, tls: TlsMaterial | null): void {
    this.#config = config;
    this.#rules.configure(config, tls);
    this.#configure();
    if (tls !== null) this.#tls?.swap(this.#server as NodeTlsServer, tls);
    this.#nativeTls?.update();
  }

  /** Closes the listening socket; resolves when it is closed. Open connections go on; idle ones are ended. */
  close(): void {
    this.#bound = null;
    if (this.#path !== null) removePath(this.#path);
    this.#path = null;
    this.#acceptHandle?.close();
    this.#nativeTls?.close();
    this.http2.close();
    this.#server.close();
    this.#http.closeIdle();
  }

  /** Closes connections that are kept open between requests. */
  closeIdle(): void {
    this.http2.closeIdle();
    this.#http.closeIdle();
  }

  /** Leaves the socket to the other processes that accept from it; resolves when this one has accepted its last connection. */
  async release(): Promise<void> {
    this.#path = null;
    if (this.#acceptHandle === null) closeListeningSocket(this.#server);
    else await this.#acceptHandle.release();
  }

  /** Destroys all connections but upgraded ones. */
  cut(): void {
    this.#preambleFilter.cut();
    this.#challenges.cut();
    this.http2.cut();
    this.#http.cut();
  }

  /** Hands a connection with a known peer to the server for its protocol; `http1` gives it to the server of HTTP/1.1. */
  #deliver(socket: Socket, http1: () => void): void {
    if (this.#tls === null) this.http2.takeByPreface(socket, http1);
    else this.#challenges.take(socket, this.#config.timeouts.tls_handshake, http1);
  }

  /** Applies the settings that may change at a reload. */
  #configure(): void {
    this.#preambleFilter.configure(this.#config.proxy_protocol);
    this.http2.configure(this.#config);
    this.#http.configure(this.#config);
  }

  #onBound(): void {
    // Node reports another name for a unix socket, or none.
    this.#bound = this.#config.unix ?? this.#server.address();
    if (this.#acceptor !== null) this.#acceptHandle = this.#openAcceptor(this.#acceptor);
  }

  /** Accepts connections natively from now on, where that is possible. */
  #openAcceptor(acceptor: Acceptor): AcceptHandle | null {
    const nativeAcceptor = new NativeAcceptor(this.#server, {
      acceptor,
      rules: this.#rules,
      offer: (...args) => this.#gateway.handshakes.offer(...args),
      http1: () => (this.http2.readsPrefaces ? null : this.#http.http1),
      // A preamble may come first, and the limit of a head changes with the config.
      maxHead: () => (this.#config.proxy_protocol === undefined ? this.#config.max_head : null),
      onAccepted: (connection) => void this.#fds.admits(connection),
      onFailed: (error) => {
        this.#fds.relieve();
        this.#failures.report(error);
      },
      onTls: (handshake) => this.#nativeTls?.report(handshake),
    });
    const handle = nativeAcceptor.open(this.#nativeTls?.accept() ?? null);
    if (handle !== null) this.#nativeTls?.opened(handle);
    return handle;
  }
}
