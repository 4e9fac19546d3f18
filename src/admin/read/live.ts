// `GET /live`: what the status page shows, as Server-Sent Events (HTML, section 9.2), one a second. One reading serves all pages
// that are open; while none is, nothing is read. A page that does not read misses events and costs no memory.
import type { Writable } from 'node:stream';
import { guarded, ignore } from '../../base/guard.ts';
import type { RouteConfig } from '../../config/schema/schema.ts';
import { type AdminResponse, problem } from '../answer.ts';
import { type Figures, readFigures } from './figures.ts';
import type { Refusals } from './refusals.ts';
import { type StatusSource, summary } from './status.ts';
import { describeServer, serversOf, type UpstreamSource } from './upstreams.ts';

export interface LiveSource {
  readonly status: StatusSource;
  readonly upstreams: UpstreamSource;
  readonly refusals: Refusals;
}

const TICK_MS = 1000;
/** Pages at a time. */
const MOST_PAGES = 16;
/** Bytes that wait for a page that does not read. */
const MOST_WAITING = 256 * 1024;
const MOST_ROUTES = 200;
const MOST_SERVERS = 200;
const MOST_REFUSALS = 50;

export class LiveFeed {
  readonly #source: LiveSource;
  readonly #pages = new Set<Writable>();
  #timer: NodeJS.Timeout | null = null;

  constructor(source: LiveSource) {
    this.#source = source;
  }

  open(): AdminResponse {
    if (this.#pages.size >= MOST_PAGES)
      return problem(503, 'busy', `${MOST_PAGES} pages are open already`, { 'Retry-After': '5' });
    return { status: 200, contentType: 'text/event-stream', body: '', stream: (to) => this.#serve(to) };
  }

  #serve(to: Writable): void {
    this.#pages.add(to);
    to.on('error', ignore).on('close', () => this.#forget(to));
    to.write(`retry: 2000\n\n${this.#event()}`);
    this.#timer ??= setInterval(
      guarded('admin', () => this.#tick()),
      TICK_MS,
    ).unref();
  }

  #forget(page: Writable): void {
    this.#pages.delete(page);
    if (this.#pages.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #tick(): void {
    const event = this.#event();
    for (const page of this.#pages) if (page.writableLength < MOST_WAITING) page.write(event);
  }

  #event(): string {
    const { status, upstreams, refusals } = this.#source;
    const figures = readFigures(status.samplers);
    const servers = [...serversOf(upstreams.pools())];
    const routes = routesOf(status.snapshot().config.routes, figures.routes);
    const data = {
      at: Date.now(),
      status: summary(status, figures),
      routes: routes.length > MOST_ROUTES ? busiest(routes) : routes,
      routes_total: routes.length,
      servers: servers.slice(0, MOST_SERVERS).map(({ pool, server }) => describeServer(upstreams, pool, server)),
      servers_total: servers.length,
      refusals: first(refusals.newestFirst(), MOST_REFUSALS),
      newest_refusal: refusals.newest,
    };
    return `data: ${JSON.stringify(data)}\n\n`;
  }
}

interface RouteShown {
  readonly route: string;
  /** In words: `splice to chat, HTTP to rest`. */
  readonly does: string;
  readonly live: number;
}

function busiest(routes: readonly RouteShown[]): RouteShown[] {
  return routes.toSorted((one, other) => other.live - one.live).slice(0, MOST_ROUTES);
}

/** Every route of the config, in its order, and behind them those that are gone from it and have sessions still. */
function routesOf(routes: readonly RouteConfig[], counted: Figures['routes']): RouteShown[] {
  const live = new Map<string, number>();
  for (const one of counted) live.set(one.route, (live.get(one.route) ?? 0) + one.live);
  const known = new Set(routes.map(({ name }) => name));
  const gone = [...live].filter(([route, count]) => count > 0 && !known.has(route));
  return [
    ...routes.map((route) => ({ route: route.name, does: inWords(route), live: live.get(route.name) ?? 0 })),
    ...gone.map(([route, count]) => ({ route, does: 'not in the config any more', live: count })),
  ];
}

function inWords({ websocket, http, redirect, respond }: RouteConfig): string {
  return [
    ...(websocket === undefined
      ? []
      : [websocket.mode === 'splice' ? `splice to ${websocket.upstream}` : websocket.handler]),
    ...(http === undefined ? [] : [`HTTP to ${http.upstream}`]),
    ...(redirect === undefined ? [] : ['redirect']),
    ...(respond === undefined ? [] : [`respond ${respond.status}`]),
  ].join(', ');
}

function first<T>(all: Iterable<T>, most: number): T[] {
  const found: T[] = [];
  for (const one of all) {
    if (found.length === most) break;
    found.push(one);
  }
  return found;
}
