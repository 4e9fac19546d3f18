// Sends events to a backend: a bounded number of requests at a time, attempts on one server after the other, the same
// event id on each. What a response means is in cloud-event.ts.
import { setTimeout as sleep } from 'node:timers/promises';
import { Semaphore } from '../../base/semaphore.ts';
import type { WebhookConfig } from '../../config/schema/schema-handlers.ts';
import { asGatewayError, GatewayError } from '../../errors.ts';
import type { Emit, Sample, Sampler, ServerRef } from '../../events.ts';
import { lowerNames, valuesOf } from '../../http/fields.ts';
import type { InternalClient, Reply } from '../../proxy/internal-client.ts';
import { requestServer } from '../../proxy/internal-request.ts';
import type { Pool, Server } from '../../upstream/pool.ts';
import type { CloudEvent } from './cloud-event.ts';

/** An answer other than those that ask for another attempt. */
export interface Answered {
  readonly reply: Reply;
  readonly at: ServerRef;
}

/** Answers that say "not now" (RFC 9110 §15.6). */
const NOT_NOW: ReadonlySet<number> = new Set([502, 503, 504]);
/** So do these (RFC 9110 §15.5.9, RFC 6585 §4), but to `connect`, where every 4xx is the client's. */
const NOT_NOW_EITHER: ReadonlySet<number> = new Set([408, 429]);
/** Most handshakes in the queue; a further one is refused. Of messages each client has one in the queue. */
const MAX_LINE = 1024;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5000;

/** Events under way in all routes of the process, so that a stop can wait for them. */
export class PendingDeliveries implements Sampler {
  readonly #routes = new Map<string, number>();
  readonly #waiting = new Set<() => void>();
  #live = 0;

  /** Counts one more delivery; the release ends it. */
  add(route: string): () => void {
    this.#live++;
    this.#routes.set(route, (this.#routes.get(route) ?? 0) + 1);
    return () => {
      this.#live--;
      this.#routes.set(route, (this.#routes.get(route) ?? 1) - 1);
      if (this.#live > 0) return;
      for (const done of this.#waiting) done();
      this.#waiting.clear();
    };
  }

  /** Resolves when no delivery is pending, or after so many milliseconds; true where all are done. */
  async settled(timeoutMs: number): Promise<boolean> {
    if (this.#live === 0) return true;
    const timeout = new AbortController();
    const done = new Promise<true>((resolve) => this.#waiting.add(() => resolve(true)));
    const late = sleep(timeoutMs, false, { signal: timeout.signal }).catch(() => false);
    const settled = await Promise.race([done, late]);
    timeout.abort();
    return settled;
  }

  *sample(): Iterable<Sample> {
    for (const [route, value] of this.#routes) yield { metric: 'webhook_events_pending', labels: { route }, value };
  }
}

export interface BackendOptions {
  readonly route: string;
  readonly config: Pick<WebhookConfig, 'path' | 'timeout' | 'retries' | 'concurrency'>;
  /** Bytes of the largest answer. */
  readonly maxBytes: number;
  readonly pool: Pool;
  readonly caller: InternalClient;
  readonly deliveries: PendingDeliveries;
  readonly emit: Emit;
}

export class WebhookBackend {
  readonly #options: BackendOptions;
  readonly #semaphore: Semaphore;

  constructor(options: BackendOptions) {
    this.#options = options;
    this.#semaphore = new Semaphore(options.config.concurrency);
  }

  /** Whether the queue has no room for one more client. */
  get full(): boolean {
    return this.#semaphore.waiting >= MAX_LINE;
  }

  /**
   * Sends an event until there is a final response, and reports the delivery. Rejects with a GatewayError where the
   * last attempt had none, or where `signal` fires between two attempts (null: it can't be cancelled). An attempt under
   * way is waited for, since the backend may have begun to act on it.
   */
  async ask(event: CloudEvent, signal: AbortSignal | null): Promise<Answered> {
    const { route, emit, deliveries } = this.#options;
    const startedAt = performance.now();
    const release = deliveries.add(route);
    const report = (result: 'ok' | 'refused' | 'failed', detail: string | null): void =>
      emit({
        type: 'webhook_delivered',
        id: event.request,
        connection: event.connection,
        route,
        event: event.name,
        result,
        detail,
        durationMs: performance.now() - startedAt,
      });
    try {
      const answered = await this.#attempt(event, signal);
      const { status } = answered.reply;
      if (status >= 300) report('refused', `${answered.at.server} answered ${status}`);
      else report('ok', null);
      return answered;
    } catch (thrown) {
      const error = asGatewayError(thrown, 'webhook', event.request);
      report('failed', error.message);
      throw error;
    } finally {
      release();
    }
  }

  async #attempt(event: CloudEvent, signal: AbortSignal | null): Promise<Answered> {
    const { config, pool } = this.#options;
    const tried: Server[] = [];
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.#inTurn(signal, () => {
        // Another server while there is one that was not tried, else the next in turn.
        const server = pool.pick(null, tried) ?? pool.pick(null);
        if (server === null) throw new GatewayError('backend_refused', 'the upstream has no server');
        tried.push(server);
        return this.#once(event, server);
      });
      if (!('error' in outcome)) return outcome;
      if (attempt >= config.retries || outcome.error.source !== 'upstream') throw outcome.error;
      await pause(attempt, outcome.retryAfterMs, signal);
    }
  }

  async #inTurn<T>(signal: AbortSignal | null, act: () => Promise<T>): Promise<T> {
    const release = await this.#semaphore.acquire(signal);
    try {
      return await act();
    } finally {
      release();
    }
  }

  /** One attempt: a response, or the error. */
  async #once(
    event: CloudEvent,
    server: Server,
  ): Promise<Answered | { readonly error: GatewayError; readonly retryAfterMs: number }> {
    const { config, maxBytes } = this.#options;
    const { reply, error } = await requestServer(this.#options, server, {
      id: event.request,
      method: 'POST',
      target: config.path,
      fields: ['Host', hostOf(server), ...event.fields],
      body: event.body,
      timeoutMs: config.timeout,
      maxBytes,
      failsWith: (status) => NOT_NOW.has(status) || (event.name !== 'connect' && NOT_NOW_EITHER.has(status)),
    });
    if (error === null) return { reply, at: { upstream: server.upstream, server: server.url } };
    return { error, retryAfterMs: reply === null ? 0 : retryAfter(reply) };
  }
}

function hostOf({ host, port, secure, unix, serverName = host }: Server): string {
  if (unix !== undefined) return 'localhost';
  const name = serverName.includes(':') ? `[${serverName}]` : serverName;
  return port === (secure ? 443 : 80) ? name : `${name}:${port}`;
}

/** Retry-After in seconds; its other form, a date, is taken for none. */
function retryAfter({ fields }: Reply): number {
  const [value = ''] = valuesOf({ fields, names: lowerNames(fields) }, 'retry-after');
  return /^\d{1,6}$/.test(value) ? Number(value) * 1000 : 0;
}

/** Twice as long each time, with jitter, so that many clients' events do not come back at once. */
async function pause(attempt: number, atLeastMs: number, signal: AbortSignal | null): Promise<void> {
  const wanted = Math.max(FIRST_PAUSE_MS * 2 ** attempt, atLeastMs);
  const ms = Math.min(wanted, LONGEST_PAUSE_MS) * (1 + Math.random() * 0.25);
  await sleep(ms, undefined, signal === null ? {} : { signal }).catch(() => {
    throw new GatewayError('client_gone', 'the client left');
  });
}
