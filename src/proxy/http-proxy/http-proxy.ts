// The HttpEngine by http-proxy (http-proxy-3 under that name): it makes the request toward the server, over TLS where the
// server speaks it, reports what breaks, and drops the request when the client has left. What it leaves open is done by
// exchange.ts. Of its own ideas about fields, paths and framing nothing is used.

import { type Agent, ClientRequest, IncomingMessage, ServerResponse } from 'node:http';
import httpProxy from 'http-proxy';
import { Deadlines } from '../../base/deadlines.ts';
import { asGatewayError } from '../../errors.ts';
import { LARGEST_ANSWER_HEAD } from '../../http/answer.ts';
import { authenticatesConnection } from '../../http/connection-auth.ts';
import { KEEPALIVE_MS } from '../../net/dial.ts';
import { ReadAfterWriteErrorAgent } from '../../net/read-after-write-error.ts';
import { tlsOptions } from '../../net/server-tls.ts';
import { type ExchangeOwner, HttpExchange } from '../exchange.ts';
import { lengthLast } from '../framing.ts';
import type { Exchange, HttpEngine, HttpEngineOptions } from '../http-engine.ts';
import { IDLE_MS } from '../http-engine.ts';
import { Agents, ClientAgents } from './agents.ts';
import { ProxyProtocolAgent } from './proxy-protocol-agent.ts';
import { RequestStream } from './request-stream.ts';

/** Idle connections kept to one server, at most. */
const MAX_IDLE = 256;

/**
 * The request as http-proxy gets to see it. It edits the fields of a DELETE or OPTIONS without a length, copies all
 * fields into its own request and pipes the body; so it gets no fields, and the pipe is the exchange's. Of the response it
 * asks only whether it was closed, and gets one that never is.
 */
class ProxyRequestStub extends IncomingMessage {
  readonly #exchange: Exchange;
  readonly #transfer: HttpExchange;
  #link: RequestStream | null = null;

  constructor(exchange: Exchange, transfer: HttpExchange) {
    super(exchange.request.connection);
    this.method = exchange.request.message.method ?? '';
    this.#exchange = exchange;
    this.#transfer = transfer;
  }

  override pipe<T extends NodeJS.WritableStream>(destination: T): T {
    if (!(destination instanceof ClientRequest)) throw new TypeError('http-proxy pipes into no request');
    const connected = this.#exchange.server.secure ? 'secureConnect' : 'connect';
    this.#link = new RequestStream(destination, this.#transfer, connected);
    this.#transfer.start(this.#link);
    return destination;
  }

  /** What breaks behind a whole answer is not the exchange's: bytes that nobody asked for, which cost their connection. */
  onError(error: unknown): void {
    if (this.#link?.whole !== true) this.#transfer.lost(error);
  }
}

/**
 * http-proxy fills this object in and hands it to http.request. Its own path went through a URL parser, and its own
 * fields through an object, which loses order, casing and repetitions; a flat list keeps them, and is sent as it is.
 */
function requestOptions(exchange: Exchange, head: readonly string[]): object {
  return {
    get path(): string {
      return exchange.target;
    },
    set path(_: string) {},
    get headers(): readonly string[] {
      return head;
    },
    set headers(_: unknown) {},
    ...(exchange.server.secure ? tlsOptions(exchange.server) : {}),
    ...(exchange.server.lookup === undefined ? {} : { lookup: exchange.server.lookup }),
    maxHeaderSize: LARGEST_ANSWER_HEAD,
    insecureHTTPParser: false,
  };
}

const openProxy = () => httpProxy.createProxyServer();
type Proxy = ReturnType<typeof openProxy>;

/** Has http-proxy make the request, over a connection of the agent's. */
function send(proxy: Proxy, exchange: Exchange, transfer: HttpExchange, agent: Agent): void {
  const { secure, host, port, unix, tls } = exchange.server;
  const stub = new ProxyRequestStub(exchange, transfer);
  try {
    proxy.web(
      stub,
      new ServerResponse(stub),
      {
        target: {
          protocol: secure ? 'https:' : 'http:',
          host,
          port,
          ...(unix === undefined ? {} : { socketPath: unix }),
        },
        agent,
        ssl: requestOptions(exchange, lengthLast(transfer.head.fields)),
        secure: tls?.options.rejectUnauthorized !== false,
        selfHandleResponse: true,
        // Both together keep it from parsing the target.
        toProxy: true,
        ignorePath: true,
      },
      (error) => stub.onError(error),
    );
  } catch (thrown) {
    transfer.fail(asGatewayError(thrown, 'request'));
  }
}

/** Makes an engine with connections of its own. */
export function openHttpProxy({ connectionsPerServer, ca }: HttpEngineOptions = {}): HttpEngine {
  const proxy = openProxy();
  const trusted = ca === undefined ? {} : { ca };
  const keeping = {
    ...trusted,
    keepAlive: true,
    keepAliveMsecs: KEEPALIVE_MS,
    noDelay: true,
    scheduling: 'lifo',
    maxFreeSockets: MAX_IDLE,
    // The server's `Keep-Alive: timeout` shortens it.
    timeout: IDLE_MS,
    ...(connectionsPerServer === undefined ? {} : { maxSockets: connectionsPerServer }),
  } as const;
  const passing = { ...trusted, keepAlive: false, noDelay: true };
  const kept = new Agents(new ReadAfterWriteErrorAgent(keeping), keeping);
  const own = new ClientAgents(() => new Agents(new ReadAfterWriteErrorAgent(keeping), keeping));
  const single = new Agents(new ReadAfterWriteErrorAgent(passing), passing);

  const owner: ExchangeOwner = {
    deadlines: new Deadlines('request'),
    sendAgain: (exchange) => begin(exchange, single),
  };

  function begin(exchange: Exchange, agents: Agents): void {
    const transfer = new HttpExchange(exchange, owner);
    if (transfer.over) return;
    const { server, preamble } = exchange;
    if (preamble === null) return void send(proxy, exchange, transfer, agents.for(server));
    const agent = new ProxyProtocolAgent(server, preamble);
    transfer.onOver = () => agent.drop();
    send(proxy, exchange, transfer, agent);
    // Its socket comes when it is connected, and until then nobody would look at the time.
    transfer.connecting();
  }

  return {
    name: 'http-proxy',
    // An agent takes in no sockets but its own.
    bound: null,
    forward(exchange) {
      const { request, fields } = exchange;
      begin(exchange, own.for(request.authScope, authenticatesConnection(fields)) ?? kept);
    },
    close() {
      kept.close();
      own.close();
    },
  };
}
