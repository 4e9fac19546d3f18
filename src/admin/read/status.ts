// `GET /status`: the gateway at one look.

import { closeSync, openSync } from 'node:fs';
import { getHeapStatistics } from 'node:v8';
import type { CertificateState } from '../../acme/managed-certificate.ts';
import { http2Of } from '../../config/http2.ts';
import type { Sampler } from '../../events.ts';
import type { ReloadReport } from '../../runtime/reload.ts';
import type { Snapshot } from '../../runtime/snapshot.ts';
import { type AdminResponse, json } from '../answer.ts';
import { isoTime } from '../body.ts';
import type { ListeningAt } from '../console.ts';
import { seconds } from './connections.ts';
import { type Figures, readFigures } from './figures.ts';

/** What operators have changed beside the config; app/changes.ts keeps it. */
export interface ChangesShown {
  readonly logLevel: string | null;
  readonly servers: readonly {
    readonly upstream: string;
    readonly server: string;
    readonly state: string;
    readonly since: number;
  }[];
  readonly closing: readonly { readonly filter: object; readonly left: number; readonly rate: number }[];
}

/** Counts since the start. */
export interface TotalsShown {
  readonly handshakes: Readonly<Record<'accepted' | 'rejected' | 'failed' | 'passed', number>>;
  readonly requests: number;
  readonly internalErrors: ReadonlyMap<string, number>;
}

export interface StatusSource {
  readonly version: string;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly snapshot: () => Snapshot;
  readonly listening: () => readonly (ListeningAt & { readonly host?: string })[];
  /** True while new traffic is accepted; else false, or why not. */
  readonly ready: () => boolean | string;
  readonly degraded: () => string | null;
  readonly relay: () => { readonly name: string };
  readonly live: () => { readonly sessions: number; readonly requests: number };
  readonly samplers: Iterable<Sampler>;
  readonly totals: TotalsShown;
  readonly lastReload: () => ReloadReport | null;
  readonly changes: () => ChangesShown;
  readonly ordered: () => readonly CertificateState[];
  /** The soft limit; null: unknown. */
  readonly descriptors: number | null;
}

const DAY_MS = 24 * 3600 * 1000;

/** Answers `GET /status`. */
export function showStatus(source: StatusSource): AdminResponse {
  return json(200, { ...summary(source, readFigures(source.samplers)) });
}

/** The same as a value, of figures that were read just now. */
export function summary(source: StatusSource, figures: Figures): object {
  const { version, startedAt, ready, degraded, relay, totals } = source;
  const { config, services, source: file } = source.snapshot();
  const state = ready();
  const { sessions, requests } = source.live();
  return {
    ...{ version, node: process.version, pid: process.pid },
    started_at: isoTime(startedAt),
    uptime_seconds: seconds(Date.now() - startedAt),
    ready: state === true,
    draining: state === 'draining',
    degraded: degraded(),
    api: config.admin.token !== undefined,
    relay: { engine: relay().name },
    http_engine: services.http.name,
    protocols: protocolsOf(config.listeners),
    listeners: source.listening().map(({ host, port, tls }) => ({ host: host ?? null, port, tls })),
    sessions,
    requests,
    totals: {
      handshakes: totals.handshakes,
      requests: totals.requests,
      ...{ bytes_in: figures.bytesIn, bytes_out: figures.bytesOut },
      ...{ messages_in: figures.messagesIn, messages_out: figures.messagesOut },
    },
    internal_errors: Object.fromEntries(totals.internalErrors),
    config: { file: file.file, hash: file.hash, loaded_at: isoTime(file.loadedAt) },
    last_reload: showReload(source.lastReload()),
    changes: showChanges(source.changes()),
    certificates: figures.certificates.map(({ listener, names, notAfterMs }) => ({
      ...{ listener, names, not_after: isoTime(notAfterMs) },
      days_left: Math.floor((notAfterMs - Date.now()) / DAY_MS),
    })),
    certificate_orders: source.ordered().map(showOrder),
    memory: showMemory(figures),
    descriptors: { used: usedDescriptors(), limit: source.descriptors },
  };
}

function protocolsOf(listeners: Snapshot['config']['listeners']): readonly string[] {
  const found = new Set(['http/1.1']);
  for (const listener of listeners) {
    if (listener.tls !== undefined) found.add('tls');
    if (http2Of(listener) !== null) found.add('h2');
  }
  return [...found];
}

function showReload(last: ReloadReport | null): object | null {
  if (last === null) return null;
  const { at, trigger, outcome, problems } = last;
  return {
    ...{ at: isoTime(at), trigger, result: outcome === null ? 'failure' : 'success', problems },
    kept: outcome?.kept ?? null,
    draining: outcome?.draining ?? [],
    restart_needed: outcome?.restartNeeded ?? [],
  };
}

function showChanges({ logLevel, servers, closing }: ChangesShown): object {
  return {
    until: 'restart',
    log_level: logLevel,
    servers: servers.map(({ since, ...set }) => ({ ...set, since: isoTime(since) })),
    closing,
  };
}

function showOrder({ names, authority, notAfterMs, lastError, nextAttemptMs }: CertificateState): object {
  return {
    ...{ names: names.join(','), authority, state: notAfterMs === null ? 'pending' : 'issued' },
    not_after: notAfterMs === null ? null : isoTime(notAfterMs),
    last_error: lastError && { at: isoTime(lastError.atMs), reason: lastError.reason, detail: lastError.detail },
    next_attempt: nextAttemptMs === null ? null : isoTime(nextAttemptMs),
  };
}

function showMemory({ budgets }: Figures): object {
  const { heapUsed, rss } = process.memoryUsage();
  return { rss, heap_used: heapUsed, heap_limit: getHeapStatistics().heap_size_limit, budgets };
}

/** The system gives the lowest number that is free: about as many are in use. Null where none is left to find out with. */
function usedDescriptors(): number | null {
  try {
    const next = openSync('/dev/null', 'r');
    closeSync(next);
    return next;
  } catch {
    return null;
  }
}
