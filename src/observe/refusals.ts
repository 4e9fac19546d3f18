// The last refusals and failures, with the rule that decided each: what an operator asks for first when a client complains. A ring
// of fixed size; the log has all of them.
import type { HandshakeFields } from '../events/handshake.ts';
import type { GatewayEvent } from '../events.ts';
import { ruleOf, ruleOfRefusal } from './rules.ts';

/** One refusal or failure, as the admin API gives it. */
export interface RefusalEntry {
  /** Counts from 1 on; a later one has a greater id. */
  readonly id: number;
  /** RFC 3339. */
  readonly at: string;
  readonly kind: 'handshake' | 'request' | 'connection';
  /** X-Request-Id; null where no request was read. */
  readonly request_id: string | null;
  readonly client: string;
  readonly user: string | null;
  readonly route: string | null;
  readonly method: string | null;
  /** Null where no request was read. */
  readonly scheme: 'http' | 'https' | null;
  readonly host: string | null;
  readonly path: string | null;
  readonly origin: string | null;
  /** Sec-WebSocket-Version; null where there is none, and where it is no handshake. */
  readonly version: string | null;
  /** The offered subprotocols that the route lists, and no others. */
  readonly subprotocols: readonly string[];
  /** Null where the connection was closed without an answer. */
  readonly status: number | null;
  readonly reason: string;
  readonly detail: string;
  readonly rule: string | null;
  readonly upstream: string | null;
  readonly server: string | null;
}

const SIZE = 1000;
/** Characters of what clients chose. */
const LONGEST = 512;

export class RefusalLog {
  readonly #ring: RefusalEntry[] = [];
  #next = 1;

  observe(event: GatewayEvent): void {
    const refused = refusalIn(event);
    if (refused === null) return;
    this.#ring[(this.#next - 1) % SIZE] = { id: this.#next, at: new Date().toISOString(), ...refused };
    this.#next++;
  }

  /** The id of the newest one; 0: there was none yet. */
  get newest(): number {
    return this.#next - 1;
  }

  /** The newest first, those that are still known. */
  *newestFirst(): Iterable<RefusalEntry> {
    for (let id = this.newest; id > 0 && id > this.newest - SIZE; id--)
      yield this.#ring[(id - 1) % SIZE] as RefusalEntry;
  }
}

function refusalIn(event: GatewayEvent): Omit<RefusalEntry, 'id' | 'at'> | null {
  switch (event.type) {
    case 'handshake_rejected':
    case 'handshake_failed': {
      const { origin, version, subprotocols } = event;
      return {
        ...aboutRequest(event),
        ...{ kind: 'handshake', origin: cut(origin), version: cut(version), subprotocols },
      };
    }
    case 'handshake_passed': {
      const detail = `${event.at.server} answered ${event.status}`;
      return refusalIn({ ...event, type: 'handshake_failed', reason: 'passed', detail });
    }
    case 'request_completed':
      if (event.reason === null || event.status < 400) return null;
      return {
        ...aboutRequest({ ...event, reason: event.reason, detail: event.detail ?? '' }),
        ...{ kind: 'request', ...NO_FIELDS },
      };
    case 'head_refused':
      return aboutConnection(event.client, event.reason, event.detail, event.status);
    case 'preamble_refused': {
      const refused = aboutConnection(event.client, `proxy_protocol_${event.reason}`, event.detail, null);
      return { ...refused, rule: `listeners (${event.listener}).proxy_protocol` };
    }
    case 'tls_handshake': {
      if (event.result === 'ok' || event.result === 'resumed') return null;
      const refused = aboutConnection(event.client, `tls_${event.result}`, event.detail ?? '', null);
      return { ...refused, host: cut(event.name), rule: `listeners (${event.listener}).tls` };
    }
    default:
      return null;
  }
}

type RefusedRequest = Extract<
  GatewayEvent,
  { type: 'handshake_rejected' | 'handshake_failed' | 'request_completed' }
> & {
  readonly reason: string;
  readonly detail: string;
};

const NO_FIELDS = { origin: null, version: null, subprotocols: [] } as const;

function aboutRequest(event: RefusedRequest): Omit<RefusalEntry, 'id' | 'at' | 'kind' | keyof HandshakeFields> {
  const at = 'at' in event ? event.at : null;
  return {
    request_id: event.id,
    client: event.client,
    user: cut(event.user),
    route: event.route,
    method: cut(event.method),
    scheme: event.secure ? 'https' : 'http',
    host: cut(event.host),
    path: cut(event.path),
    status: event.status,
    reason: event.reason,
    detail: cut(event.detail) ?? '',
    rule: ruleOfRefusal(event),
    upstream: at === null ? null : at.upstream,
    server: at === null ? null : at.server,
  };
}

function aboutConnection(
  client: string,
  reason: string,
  detail: string,
  status: number | null,
): Omit<RefusalEntry, 'id' | 'at'> {
  return {
    kind: 'connection',
    ...{
      request_id: null,
      client,
      user: null,
      route: null,
      method: null,
      scheme: null,
      host: null,
      path: null,
      ...NO_FIELDS,
    },
    ...{ status, reason, detail: cut(detail) ?? '', rule: ruleOf(reason, null, null), upstream: null, server: null },
  };
}

function cut(text: string | null): string | null {
  return text === null || text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}…`;
}
