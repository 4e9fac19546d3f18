// The HttpEngine by undici: the lines to each server, which of them takes a request, and who stands in line for one. How
// a line carries a request is undici-line.ts, what an exchange is transfer.ts.
import { isIP, type Socket } from 'node:net';
import tls from 'node:tls';
import { addressOf, KEEPALIVE_MS, openPrefaced, tlsOptions } from './dial.ts';
import type { Exchange, HttpEngine, HttpEngineOptions } from './http-engine.ts';
import { connectPatiently } from './patient-socket.ts';
import type { Endpoint } from './server.ts';
import { type Outcome, Transfer } from './transfer.ts';
import { Line, type LineOwner, type Open } from './undici-line.ts';

/** Idle connections kept to one server, at most. */
const MOST_IDLE = 256;

/** Of a line that nobody else may use. */
const ONCE: LineOwner = { free: (line) => line.drop(), gone: () => undefined };

interface Waiting {
  readonly exchange: Exchange;
  readonly transfer: Transfer;
}

interface LinesOptions {
  /** Lines at a time. */
  readonly most: number;
  readonly ca: string | undefined;
  /** Where it stands as long as it has lines. */
  readonly known: Set<Lines>;
}

/** The lines to one server. */
class Lines implements LineOwner {
  readonly #open: Open;
  readonly #origin: string;
  readonly #most: number;
  readonly #known: Set<Lines>;
  readonly #all = new Set<Line>();
  /** The one used last stands last, and is used first: those that are not needed can end. */
  readonly #idle: Line[] = [];
  readonly #queue: Waiting[] = [];
  #closed = false;

  constructor(server: Endpoint, { most, ca, known }: LinesOptions) {
    this.#origin = originOf(server);
    this.#open = openTo(server, ca);
    this.#most = most;
    this.#known = known;
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
    if (this.#all.size === 0) this.#known.delete(this);
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
    this.#known.add(this);
    return line;
  }
}

/** What undici calls the server; where the connection goes is said by `openTo`. */
function originOf({ secure, host, port, unix }: Endpoint): string {
  const name = unix === undefined ? `${isIP(host) === 6 ? `[${host}]` : host}:${port}` : 'unix';
  return `${secure ? 'https' : 'http'}://${name}`;
}

/** How a connection to the server is opened. A TLS session is taken up again. */
function openTo(server: Endpoint, ca: string | undefined): Open {
  const { secure } = server;
  const trusted = ca === undefined ? {} : { ca };
  let session: Buffer | undefined;
  return (connected) => {
    const resumed = session === undefined ? {} : { session };
    const socket: Socket = secure
      ? tls.connect({
          ...addressOf(server),
          ALPNProtocols: ['http/1.1'],
          ...trusted,
          ...tlsOptions(server),
          ...resumed,
        })
      : connectPatiently(addressOf(server));
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
  const most = connectionsPerServer ?? Number.POSITIVE_INFINITY;
  const known = new Set<Lines>();
  // By the server's own value: another one, of the next config, may speak TLS by other rules.
  let lines = new WeakMap<Endpoint, Lines>();

  function linesTo(server: Endpoint): Lines {
    const to = lines.get(server) ?? new Lines(server, { most, ca, known });
    lines.set(server, to);
    return to;
  }

  function attempt(exchange: Exchange, how: 'carry' | 'carryFresh'): Promise<Outcome> {
    const transfer = new Transfer(exchange);
    if (transfer.over) return transfer.outcome;
    const { server, preamble } = exchange;
    if (preamble === null) linesTo(server)[how]({ exchange, transfer });
    else
      new Line(originOf(server), (connected) => openPrefaced(server, preamble, connected), ONCE).carry(
        exchange,
        transfer,
      );
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
      for (const to of known) to.close();
      lines = new WeakMap();
    },
  };
}
