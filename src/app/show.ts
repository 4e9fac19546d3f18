// The commands that ask a running gateway: status, upstreams, connections, and top, which shows all of it again and again.
import { setTimeout as wait } from 'node:timers/promises';
import type { Env } from '../config/yaml/env.ts';
import { AdminClient, AdminClientError } from './admin-client.ts';
import {
  BUSIEST,
  CONNECTIONS,
  type Column,
  formatTable,
  plain,
  REFUSALS,
  type Row,
  SERVERS,
  shortBytes,
  shortDuration,
} from './tables.ts';
import type { Terminal } from './terminal.ts';

export interface ShowOptions {
  readonly config: string;
  readonly env: Env;
  readonly json: boolean;
  /** Of connections: at most so many, sorted so, with this text in them. */
  readonly limit?: string | undefined;
  readonly sort?: string | undefined;
  readonly search?: string | undefined;
  /** Of the terminal that it is printed to; null: to none. */
  readonly columns: number | null;
  readonly print: (line: string) => void;
  readonly printError: (line: string) => void;
}

export type Shown = 'status' | 'upstreams' | 'connections';

/** Prints what is asked for; gives the exit code. */
export async function show(what: Shown, options: ShowOptions): Promise<number> {
  return guardedBy(options, async (client) => {
    const answer = (await client.read(pathOf(what, options))) as Row;
    if (options.json) options.print(JSON.stringify(answer, null, 2));
    else
      for (const line of cutTo(LINES[what](answer), what === 'connections' ? options.columns : null))
        options.print(line);
  });
}

/** Silent where the gateway answers its health check with 200; gives the exit code. */
export async function healthcheck(options: ShowOptions): Promise<number> {
  return guardedBy(options, async (client) => {
    const status = await client.statusOf('/healthz', HEALTH_MS);
    if (status !== 200) throw new AdminClientError(`${client.address}/healthz: ${status}`);
  });
}

/** A session has one line, as in `ps`: two of them can't be read as columns. */
function cutTo(lines: readonly string[], columns: number | null): readonly string[] {
  if (columns === null || lines.every((line) => line.length <= columns)) return lines;
  return [
    ...lines.map((line) => line.slice(0, columns)),
    `cut at ${columns} columns; --json, a pipe or a wider terminal has all`,
  ];
}

/** How long `healthcheck` waits for an answer. */
const HEALTH_MS = 3000;

const CERTIFICATE_DAYS = 14;
/** The part of a memory budget from which on it counts as full; a history is full as a rule, and drops its oldest. */
const FULL = 0.9;

const TICK_MS = 1000;
const CLEAR = '\u001b[H\u001b[J';

/** The screen again every second, until the user quits; once where the output is no terminal. */
export async function top(options: ShowOptions, terminal: Terminal | null): Promise<number> {
  return guardedBy(options, async (client) => {
    const first = await screen(client, options, terminal?.rows ?? 40);
    if (terminal === null) return options.print(first.join('\n'));
    for (let lines = first; !terminal.quit.aborted; lines = await nextScreen(client, options, terminal)) {
      options.print(`${CLEAR}${lines.map((line) => line.slice(0, terminal.columns)).join('\n')}`);
      await wait(TICK_MS, undefined, { signal: terminal.quit }).catch(() => {});
    }
  });
}

/** A gateway that restarts is asked again; what was there from the beginning to be asked is not given up. */
async function nextScreen(client: AdminClient, options: ShowOptions, { rows, quit }: Terminal): Promise<string[]> {
  if (quit.aborted) return [];
  try {
    return await screen(client, options, rows);
  } catch (error) {
    if (!(error instanceof AdminClientError)) throw error;
    return [`not reached, trying again: ${plain(error.message)}`];
  }
}

async function screen(client: AdminClient, options: ShowOptions, rows: number): Promise<string[]> {
  const sort = options.sort ?? 'rate';
  const [status, upstreams, connections, refusals] = (await Promise.all([
    client.read('/status'),
    client.read('/upstreams?limit=10'),
    client.read(pathOf('connections', { ...options, sort, limit: '50' })),
    client.read('/refusals?limit=5'),
  ])) as [Row, Row, Row, Row];
  const { version, ready, uptime_seconds, sessions, requests, memory, relay } = status;
  const { handshakes, bytes_in, bytes_out } = status['totals'] as Row;
  const counts = handshakes as Row;
  const state = status['draining'] === true ? 'draining' : ready === true ? 'ready' : 'not ready';
  const lines = [
    `upgate ${version}  ${state}  up ${shortDuration(uptime_seconds)}  relay ${(relay as Row)['engine']}  rss ${shortBytes((memory as Row)['rss'])}`,
    `tunnels ${sessions}  requests ${requests}  in ${shortBytes(bytes_in)}  out ${shortBytes(bytes_out)}`,
    `handshakes accepted ${counts['accepted']}  passed ${counts['passed']}  rejected ${counts['rejected']}  failed ${counts['failed']}`,
    ...warningsOf(status),
    '',
    ...formatTable(SERVERS, upstreams['servers'] as Row[]),
    '',
    ...formatTable(REFUSALS, refusals['refusals'] as Row[]),
    '',
  ];
  const left = Math.max(3, rows - lines.length - 2);
  return [...lines, ...formatTable(BUSIEST, (connections['connections'] as Row[]).slice(0, left))].map(printable);
}

/** What an operator should see first, a line each; `upgate status` has the rest. */
function warningsOf(status: Row): string[] {
  const reload = status['last_reload'] as Row | null;
  const budgets = (status['memory'] as Row)['budgets'] as Row[];
  return [
    ...(reload?.['result'] === 'failure' ? ['the last reload failed: upgate status says why'] : []),
    ...(status['certificates'] as Row[])
      .filter(({ days_left }) => Number(days_left) < CERTIFICATE_DAYS)
      .map(({ names, days_left }) => `the certificate of ${names} has ${days_left} days left`),
    ...(status['certificate_orders'] as Row[])
      .filter(({ last_error }) => last_error !== null)
      .map(({ names, last_error: error }) => `no certificate for ${names}: ${(error as Row)['detail']}`),
    ...budgets
      .filter(({ budget, bytes, limit }) => budget !== 'history' && Number(bytes) > Number(limit) * FULL)
      .map(({ budget, bytes, limit }) => `memory for ${budget}: ${shortBytes(bytes)} of ${shortBytes(limit)}`),
  ];
}

function printable(line: string): string {
  return line === '' ? '' : plain(line);
}

async function guardedBy(options: ShowOptions, act: (client: AdminClient) => Promise<void>): Promise<number> {
  try {
    await act(await AdminClient.of(options.config, options.env));
    return 0;
  } catch (error) {
    if (!(error instanceof AdminClientError)) throw error;
    options.printError(error.message);
    return 1;
  }
}

function pathOf(what: Shown, { limit, sort, search }: Pick<ShowOptions, 'limit' | 'sort' | 'search'>): string {
  if (what === 'status') return '/status';
  const query = new URLSearchParams();
  if (limit !== undefined) query.set('limit', limit);
  else if (what === 'upstreams') query.set('limit', '1000');
  if (what === 'connections' && sort !== undefined) query.set('sort', sort);
  if (what === 'connections' && search !== undefined) query.set('search', search);
  return `/${what}?${query}`;
}

const LINES: Readonly<Record<Shown, (answer: Row) => string[]>> = {
  status: (answer) => flat(answer).map(([name, value]) => `${name.padEnd(28)}  ${plain(value)}`),
  upstreams: (answer) => listed(SERVERS, answer['servers'], answer),
  connections: (answer) => listed(CONNECTIONS, answer['connections'], answer),
};

function listed(columns: readonly Column[], rows: unknown, { total, next }: Row): string[] {
  const all = rows as Row[];
  const lines = formatTable(columns, all);
  return next === null ? lines : [...lines, `${all.length} of ${plain(total)}; --limit shows more, up to 1000`];
}

/** The values of an answer, each with its path; an item of a list is one value. */
function flat(value: unknown, path = ''): [string, unknown][] {
  if (Array.isArray(value)) return value.length === 0 ? [[path, 'none']] : value.map((item) => [path, ofItem(item)]);
  if (typeof value !== 'object' || value === null) return [[path, short(path, value)]];
  const entries = Object.entries(value);
  if (entries.length === 0) return [[path, 'none']];
  return entries.flatMap(([key, item]) => flat(item, path === '' ? key : `${path}.${key}`));
}

function ofItem(item: unknown): string {
  if (typeof item !== 'object' || item === null) return String(item);
  return flat(item)
    .map(([path, value]) => `${path} ${plain(value)}`)
    .join(', ');
}

/** Bytes and durations as a person reads them. */
function short(path: string, value: unknown): unknown {
  if (typeof value !== 'number') return value;
  if (path.endsWith('_seconds')) return shortDuration(value);
  return /^memory\.|^totals\.bytes_|^bytes$|^limit$/.test(path) ? shortBytes(value) : value;
}
