// What the suite of HTTP engines stands on: a backend whose every byte the test writes, and a front that calls the engine
// as actions/forward.ts does. Not a REST server: that is rest.ts.

import { EventEmitter, once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer, type Server as NetServer, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { SlotSet } from '../../src/base/slot-set.ts';
import { asGatewayError, statusOf } from '../../src/errors.ts';
import { responseFields } from '../../src/http/policy/policy.ts';
import { NodeRequest, NodeResponse } from '../../src/listen/node/client.ts';
import type { BackendTls } from '../../src/net/endpoint.ts';
import { writeOctets } from '../../src/proxy/framing.ts';
import { type Exchange, ExchangeError, type HttpEngine, type Progress } from '../../src/proxy/http-engine.ts';

/** A connection that a backend accepted. */
export interface Peer {
  readonly socket: Socket;
  /** Everything received so far, as latin1. */
  received(): string;
  /** Waits until this has come; gives all that came. */
  until(enough: string | ((received: string) => boolean)): Promise<string>;
  write(text: string | Uint8Array): void;
  /** Waits for the gateway to end the connection. */
  closed(): Promise<void>;
}

export interface Backend {
  readonly port: number;
  /** How many connections were accepted. */
  readonly connections: () => number;
  /** The next connection that this has not given yet. */
  next(): Promise<Peer>;
  close(): void;
}

function makePeer(socket: Socket): Peer {
  let text = '';
  let over = false;
  const news = new EventEmitter().setMaxListeners(0);
  socket.on('error', () => {});
  socket.on('data', (part) => {
    text += part.toString('latin1');
    news.emit('news');
  });
  const finish = () => {
    over = true;
    news.emit('news');
  };
  socket.on('end', finish).on('close', finish);
  const wait = async (test: () => boolean) => {
    while (!test()) {
      if (over) throw new Error(`the gateway ended the connection; received ${JSON.stringify(text)}`);
      await once(news, 'news');
    }
  };
  return {
    socket,
    received: () => text,
    until: async (enough) => {
      await wait(() => (typeof enough === 'string' ? text.includes(enough) : enough(text)));
      return text;
    },
    write: (data) => void (typeof data === 'string' ? socket.write(data, 'latin1') : socket.write(data)),
    closed: async () => {
      while (!over) await once(news, 'news');
    },
  };
}

/** Listens on a free port of 127.0.0.1, with TLS if options are given for it. Its connections live until the test ends them. */
export async function startBackend(secure?: TlsOptions): Promise<Backend> {
  const sockets = new Set<Socket>();
  const waiting: Peer[] = [];
  const news = new EventEmitter();
  let count = 0;
  const accept = (socket: Socket) => {
    count++;
    waiting.push(makePeer(socket));
    news.emit('peer');
  };
  const server: NetServer =
    secure === undefined
      ? createServer({ allowHalfOpen: true }, accept)
      : createTlsServer({ ...secure, allowHalfOpen: true }, accept);
  server.on('connection', (socket: Socket) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => count,
    next: async () => {
      while (waiting.length === 0) await once(news, 'peer');
      return waiting.shift()!;
    },
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** How a call of the engine ended: `answered`, or the code and message of its error. */
export interface Ending {
  readonly code: string;
  readonly message: string;
  /** Of an error: how far the exchange had got. */
  readonly progress?: Progress;
}

export interface FrontOptions {
  readonly port: number;
  readonly secure?: boolean;
  readonly host?: string;
  readonly timeouts?: Partial<Exchange['timeouts']>;
  /** The fields to send, where the client's own are not to go on. */
  readonly fields?: readonly string[];
  readonly maxBody?: number;
  readonly ownFields?: readonly string[];
  /** Answers that are not wanted, by their status; default none. */
  readonly declines?: (status: number) => boolean;
  readonly tls?: BackendTls;
  /** What each connection to the backend begins with; default nothing. */
  readonly preamble?: Buffer;
  /** The path of the backend's unix socket, in place of its port. */
  readonly unix?: string;
}

export interface Front {
  readonly port: number;
  /** The clients' connections that are open. */
  readonly sockets: ReadonlySet<Socket>;
  /** Waits until the engine was given this many requests. */
  seen(count: number): Promise<void>;
  /** How many bytes were read from all clients. */
  taken(): number;
  /** The next ending that this has not given yet. */
  ending(): Promise<Ending>;
  close(): void;
}

const OF_CONNECTION = new Set(['connection', 'keep-alive', 'te', 'transfer-encoding', 'upgrade']);

function passing(raw: readonly string[]): string[] {
  return raw.flatMap((name, i) => (i % 2 === 0 && !OF_CONNECTION.has(name.toLowerCase()) ? [name, raw[i + 1]!] : []));
}

/** Listens on a free port of 127.0.0.1 and forwards everything to one server. */
export async function startFront(engine: HttpEngine, options: FrontOptions): Promise<Front> {
  const {
    port,
    secure = false,
    host = '127.0.0.1',
    timeouts,
    fields,
    ownFields = [],
    declines = () => false,
    tls,
    unix,
    maxBody = null,
    preamble = null,
  } = options;
  const endings: Ending[] = [];
  const news = new EventEmitter();
  const target = {
    upstream: 'rest',
    url: `http${secure ? 's' : ''}://${host}:${port}`,
    secure,
    host,
    port,
    tls: tls ?? null,
    ...(unix === undefined ? {} : { unix }),
  };
  let given = 0;
  const forward = async (req: IncomingMessage, res: ServerResponse) => {
    given++;
    queueMicrotask(() => news.emit('given'));
    let ending: Ending = { code: 'answered', message: '' };
    try {
      await new Promise<void>((resolve, fail) =>
        engine.forward({
          request: new NodeRequest(req),
          response: new NodeResponse(res),
          server: target,
          preamble,
          target: req.url ?? '',
          fields: fields ?? passing(req.rawHeaders),
          responseFields,
          maxBody,
          bodyBytes: 0,
          ownFields,
          endless: new SlotSet(),
          declines,
          timeouts: { connect: 5000, head: 10_000, idle: 10_000, ...timeouts },
          settled: (failure) => (failure === null ? resolve() : fail(failure)),
        }),
      );
    } catch (thrown) {
      const error = asGatewayError(thrown, 'request');
      const progress = error instanceof ExchangeError ? { progress: error.progress } : {};
      ending = { code: error.code, message: error.message, ...progress };
      if (!res.headersSent && error.code !== 'client_gone') {
        res.writeHead(statusOf(error), ['Content-Length', String(error.code.length)]).end(error.code);
      }
    }
    endings.push(ending);
    news.emit('ending');
  };
  const server = createHttpServer({ keepAliveTimeout: 60_000, requestTimeout: 0 });
  // A response is written when those before it on its connection are, as the gateway has it (listen/node/pipelining.ts).
  const inTurn = (req: IncomingMessage, res: ServerResponse) =>
    res.socket === null ? res.once('socket', () => forward(req, res)) : forward(req, res);
  server.on('request', inTurn).on('checkContinue', inTurn);
  server.on('clientError', (_, socket) => socket.destroy());
  const sockets = new Set<Socket>();
  let before = 0;
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    writeOctets(socket);
    socket.once('close', () => {
      sockets.delete(socket);
      before += socket.bytesRead;
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    seen: async (count) => {
      while (given < count) await once(news, 'given');
    },
    taken: () => [...sockets].reduce((sum, socket) => sum + socket.bytesRead, before),
    ending: async () => {
      while (endings.length === 0) await once(news, 'ending');
      return endings.shift()!;
    },
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

export interface Message {
  readonly startLine: string;
  /** `Name: value` lines as sent, without Date and what says that the connection goes on. */
  readonly lines: readonly string[];
  readonly body: string;
}

/** Takes apart the first message in the text. */
export function readMessage(bytes: string | Buffer): Message {
  const text = typeof bytes === 'string' ? bytes : bytes.toString('latin1');
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) throw new Error(`no whole head in ${JSON.stringify(text)}`);
  const [startLine = '', ...lines] = text.slice(0, end).split('\r\n');
  const own = /^(?:date: .*|connection: keep-alive|keep-alive: .*)$/i;
  return { startLine, lines: lines.filter((line) => !own.test(line)), body: text.slice(end + 4) };
}
