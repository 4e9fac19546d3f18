// The HttpEngine by undici: the lines to each server, which of them takes a request, and who stands in line for one. How
// a line carries a request is undici-line.ts, what an exchange is transfer.ts.
import type { Socket } from 'node:net';
import { isIP } from 'node:net';
import tls from 'node:tls';
import { KEEPALIVE_MS } from './dial.ts';
import type { Exchange, HttpEngine, HttpEngineOptions } from './http-engine.ts';
import { connectPatiently } from './patient-socket.ts';
import type { Server } from './pool.ts';
import { type Outcome, Transfer } from './transfer.ts';
import { Line, type LineOwner, type Open } from './undici-line.ts';

/** Idle connections kept to one server, at most. */
const MOST_IDLE = 256;

interface Waiting {
  readonly exchange: Exchange;
  readonly transfer: Transfer;
}

/** The lines to one server. */
class Lines implements LineOwner {
  readonly #open: Open;
  readonly #origin: string;
  readonly #most: number;
  readonly #all = new Set<Line>();
  /** The one used last stands last, and is used first: those that are not needed can end. */
  readonly #idle: Line[] = [];
  readonly #queue: Waiting[] = [];
  #closed = false;

  constructor(server: Server, most: number, ca: string | undefined) {
    const { secure, host, port } = server;
    this.#origin = `${secure ? 'https' : 'http'}://${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
    this.#open = openTo(server, ca);
    this.#most = most;
  }

  get size(): number {
    return this.#all.size;
  }

  /** Gives the exchange a line, now or when one is free. */
  carry(waiting: Waiting): void {
    const line = this.#idle.pop() ?? (this.#all.size < this.#most ? this.#add() : null);
    if (line === null) this.#queue.push(waiting);
    else line.carry(waiting.exchange, waiting.transfer);
  }

  /** Gives it a line of its own, which nobody has used. */
  carryFresh({ exchange, transfer }: Waiting): void {
    this.#add().carry(exchange, transfer);
  }

  free(line: Line): void {
    const next = this.#next();
    if (next !== undefined) line.carry(next.exchange, next.transfer);
    else if (this.#closed || this.#idle.length >= MOST_IDLE) line.drop();
    else this.#idle.push(line);
  }

  gone(line: Line): void {
    this.#all.delete(line);
    const i = this.#idle.indexOf(line);
    if (i !== -1) this.#idle.splice(i, 1);
    const next = this.#all.size < this.#most ? this.#next() : undefined;
    if (next !== undefined) this.#add().carry(next.exchange, next.transfer);
  }

  /** Ends idle lines; busy ones end when they are done. */
  close(): void {
    this.#closed = true;
    for (const line of [...this.#idle]) line.drop();
  }

  /** The first in line whose client has not left. */
  #next(): Waiting | undefined {
    let next = this.#queue.shift();
    while (next?.transfer.over) next = this.#queue.shift();
    return next;
  }

  #add(): Line {
    const line = new Line(this.#origin, this.#open, this);
    this.#all.add(line);
    return line;
  }
}

/** How a connection to the server is opened. A TLS session is taken up again. */
function openTo({ secure, host, port }: Server, ca: string | undefined): Open {
  let session: Buffer | undefined;
  return (connected) => {
    const socket: Socket = secure
      ? tls.connect({
          host,
          port,
          ALPNProtocols: ['http/1.1'],
          ...(isIP(host) === 0 ? { servername: host } : {}),
          ...(ca === undefined ? {} : { ca }),
          ...(session === undefined ? {} : { session }),
        })
      : connectPatiently({ host, port });
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEPALIVE_MS);
    socket.on('session', (fresh: Buffer) => {
      session = fresh;
    });
    const fail = (error: Error): void => connected(error, null);
    socket.once('error', fail).once(secure ? 'secureConnect' : 'connect', () => {
      socket.off('error', fail);
      connected(null, socket);
    });
    return socket;
  };
}

/** Makes an engine with connections of its own. */
export function openUndici({ connectionsPerServer, ca }: HttpEngineOptions = {}): HttpEngine {
  let lines = new WeakMap<Server, Lines>();
  const live = new Set<Lines>();

  function linesTo(server: Server): Lines {
    let to = lines.get(server);
    if (to === undefined) {
      to = new Lines(server, connectionsPerServer ?? Number.POSITIVE_INFINITY, ca);
      lines.set(server, to);
      live.add(to);
    }
    return to;
  }

  function attempt(exchange: Exchange, how: 'carry' | 'carryFresh'): Promise<Outcome> {
    const transfer = new Transfer(exchange);
    if (!transfer.over) linesTo(exchange.server)[how]({ exchange, transfer });
    return transfer.outcome;
  }

  return {
    name: 'undici',
    async forward(exchange) {
      const outcome = await attempt(exchange, 'carry');
      // The one place where a request is sent again: its kept connection was gone before anything came of it.
      if (outcome === 'stale') await attempt(exchange, 'carryFresh');
    },
    close() {
      for (const to of live) to.close();
      live.clear();
      lines = new WeakMap();
    },
  };
}
