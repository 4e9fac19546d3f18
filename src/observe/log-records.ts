// The record of each event: its level, and the fields of its line. What must not be logged is not in the events; what a
// peer chose is bounded here. Not the writing: log.ts does that.
import type { ReloadOutcome } from '../base/reload-outcome.ts';
import type { TlsResult } from '../events/connection.ts';
import type { GatewayEvent, ServerRef, Subject } from '../events.ts';
import { ruleOfRefusal } from './rules.ts';

export type Level = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

type Fields = Readonly<Record<string, unknown>>;

type LineLevel = Exclude<Level, 'silent'>;

/** How one kind of event becomes a line. Fields are built only for a line that is written. */
export interface Writer<T> {
  readonly level: LineLevel | ((event: T) => LineLevel);
  /** One of the lines that `access: false` leaves out. */
  readonly access: boolean;
  readonly fields: (event: T) => Fields;
  /** Of what may come very often: which of them count together, for a bound on their lines (line-limit.ts). */
  readonly kind?: (event: T) => string;
}

/** Characters of a value that a client chose. */
const MAX_TEXT = 1024;

type FieldsOf<T> = (event: T) => Fields;
const info = <T>(fields: FieldsOf<T>): Writer<T> => ({ level: 'info', access: false, fields });
const access = <T>(fields: FieldsOf<T>): Writer<T> => ({ level: 'info', access: true, fields });
const warn = <T>(fields: FieldsOf<T>): Writer<T> => ({ level: 'warn', access: false, fields });
const debug = <T>(fields: FieldsOf<T>): Writer<T> => ({ level: 'debug', access: false, fields });

type Writers = { readonly [T in GatewayEvent['type']]: Writer<Extract<GatewayEvent, { type: T }>> };

/** Handshakes that are as they should be, or that their client did not want any more. */
const QUIET: ReadonlySet<TlsResult> = new Set(['ok', 'resumed', 'closed']);

/** The line of each event. */
const WRITERS: Writers = {
  session_opened: access((event) => ({
    ...subject(event),
    connection: event.connection,
    mode: event.mode,
    ...server(event.at),
    origin: clean(event.origin),
    subprotocol: event.subprotocol,
    duration_ms: round(event.durationMs),
  })),
  session_closed: access((event) => ({
    ...subject(event),
    connection: event.connection,
    mode: event.mode,
    ...server(event.at),
    duration_ms: round(event.durationMs),
    bytes_in: event.fromClient.bytes,
    bytes_out: event.toClient.bytes,
    messages_in: event.fromClient.messages,
    messages_out: event.toClient.messages,
    bytes_discarded: event.discarded,
    close_code: event.code,
    closed_by: event.initiator,
    reason: event.reason,
    cut: event.cut,
  })),
  handshake_rejected: access((event) => ({
    ...subject(event),
    mode: event.mode,
    status: event.status,
    reason: event.reason,
    detail: clean(event.detail),
    rule: ruleOfRefusal(event),
    origin: clean(event.origin),
    version: clean(event.version),
    subprotocols: event.subprotocols,
  })),
  // What a server did has a warning of its own, and so has a defect of the gateway; a client may leave.
  handshake_failed: access((event) => ({
    ...subject(event),
    mode: event.mode,
    ...server(event.at),
    status: event.status,
    reason: event.reason,
    detail: clean(event.detail),
    rule: ruleOfRefusal(event),
  })),
  handshake_passed: access((event) => ({
    ...subject(event),
    mode: event.mode,
    ...server(event.at),
    status: event.status,
    origin: clean(event.origin),
    duration_ms: round(event.durationMs),
  })),
  request_completed: access((event) => ({
    ...subject(event),
    ...server(event.at),
    status: event.status,
    reason: event.reason,
    detail: clean(event.detail),
    rule: ruleOfRefusal(event),
    duration_ms: round(event.durationMs),
    bytes_out: event.bytesToClient,
  })),
  upgrade_dropped: access((event) => ({ ...subject(event), upgrade: clean(event.upgrade) })),
  head_refused: access((event) => ({
    client: event.client,
    protocol: event.protocol,
    status: event.status,
    reason: event.reason,
    detail: clean(event.detail),
  })),
  preamble_refused: warn((event) => ({
    listener: event.listener,
    client: event.client,
    reason: event.reason,
    detail: event.detail,
  })),
  http2_session_closed: {
    level: ({ reason }) => (reason === 'resets' ? 'warn' : 'debug'),
    access: false,
    fields: ({ client, reason }) => ({ client, reason }),
  },
  tls_handshake: {
    level: ({ result }) => (QUIET.has(result) ? 'debug' : 'info'),
    access: true,
    kind: ({ result }) => result,
    fields: (event) => ({
      listener: event.listener,
      client: event.client,
      result: event.result,
      engine: event.engine,
      name: clean(event.name),
      detail: clean(event.detail),
    }),
  },
  upstream_connected: debug((event) => ({ ...server(event), duration_ms: round(event.durationMs) })),
  upstream_failed: warn((event) => ({
    id: event.id,
    ...server(event),
    reason: event.reason,
    detail: clean(event.detail),
  })),
  upstream_retry: debug((event) => ({ upstream: event.upstream, server: event.server, result: event.result })),
  server_changed: {
    level: ({ up }) => (up ? 'info' : 'warn'),
    access: false,
    fields: (event) => ({ ...server(event), up: event.up, reason: event.reason, detail: clean(event.detail) }),
  },
  webhook_delivered: {
    // A handshake that the backend refused has its own line.
    level: ({ result, event }) =>
      result === 'failed' || (result === 'refused' && event !== 'connect') ? 'warn' : 'debug',
    access: false,
    fields: ({ id, connection, route, event, result, detail, durationMs }) => ({
      id,
      connection,
      route,
      webhook_event: event,
      result,
      detail: clean(detail),
      duration_ms: round(durationMs),
    }),
  },
  api_called: access((event) => ({
    operation: event.operation,
    target: clean(event.target),
    status: event.status,
    reason: event.reason,
    client: event.client,
    duration_ms: round(event.durationMs),
  })),
  keys_fetched: {
    // One line for a failure that goes on, and one for its end.
    level: ({ changed, result }) => {
      if (!changed) return 'debug';
      return result === 'ok' ? 'info' : 'warn';
    },
    access: false,
    fields: ({ url, result, detail }) => ({ url, result, detail: clean(detail) }),
  },
  ping: debug((event) => ({ route: event.route, result: event.result })),
  config_reloaded: {
    level: ({ result }) => (result === 'success' ? 'info' : 'error'),
    access: false,
    fields: ({ result, trigger, problems, outcome }) => ({
      result,
      trigger,
      ...(problems.length === 0 ? {} : { problems }),
      ...(outcome === null ? {} : reloaded(outcome)),
    }),
  },
  certificate_loaded: info((event) => ({
    listener: event.listener,
    names: event.names,
    not_after: new Date(event.notAfterMs).toISOString(),
  })),
  certificate_ordered: {
    level: ({ result }) => (result === 'failed' ? 'warn' : 'info'),
    access: false,
    fields: (event) => ({
      names: event.names,
      authority: event.authority,
      result: event.result,
      reason: event.reason,
      detail: clean(event.detail),
      not_after: event.notAfterMs === null ? null : new Date(event.notAfterMs).toISOString(),
      retry_in_ms: event.retryInMs === null ? null : round(event.retryInMs),
      duration_ms: round(event.durationMs),
    }),
  },
  drain: {
    level: ({ phase }) => (phase === 'cut' ? 'warn' : 'info'),
    access: false,
    fields: ({ phase, sessions, requests }) => ({ phase, sessions, requests }),
  },
  internal_error: {
    level: ({ where }) => (where === 'process' ? 'fatal' : 'error'),
    access: false,
    kind: ({ where }) => where,
    fields: ({ where, id, stack }) => ({ where, ...(id === null ? {} : { id }), stack: printable(stack) }),
  },
  notice: {
    level: ({ level }) => level,
    access: false,
    fields: ({ data, message }) => ({ ...data, msg: message }),
  },
};

/** `kept 812, draining 14 (route chat removed)`. */
function reloaded({ kept, draining, restartNeeded }: ReloadOutcome): Fields {
  const parts = [`kept ${kept}`, ...draining.map(({ why, sessions }) => `draining ${sessions} (${why})`)];
  const named = restartNeeded.length === 0 ? [] : [`needs a restart: ${restartNeeded.join(', ')}`];
  return {
    kept,
    draining: draining.reduce((sum, { sessions }) => sum + sessions, 0),
    ...(restartNeeded.length === 0 ? {} : { restart_needed: restartNeeded }),
    msg: [...parts, ...named].join(', '),
  };
}

/** What makes the log line of an event. */
export function writerOf(event: GatewayEvent): Writer<GatewayEvent> {
  // Each writer stands under the type of the event it takes.
  return WRITERS[event.type] as Writer<GatewayEvent>;
}

function subject({ id, route, client, method, host, path, protocol, user, trace }: Subject): Fields {
  const known = { id, route, client, method: clean(method), host: clean(host), path: clean(path), protocol };
  const named = user === null ? known : { ...known, user: clean(user) };
  return trace === undefined ? named : { ...named, trace_id: trace.traceId };
}

function server(at: ServerRef | null): Fields {
  return at === null ? {} : { upstream: at.upstream, server: at.server };
}

/** A hundredth of a millisecond is what is known. */
function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}

/**
 * Text that a peer chose, at a bounded length. JSON escapes the controls below U+0020; those above it, which some
 * terminals obey too, and the line separators of Unicode become a question mark.
 */
function clean(text: string | null): string | null {
  if (text === null) return null;
  const short = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
  return printable(short);
}

function printable(text: string): string {
  return text.replace(/[\u007f-\u009f\u2028\u2029]/g, '?');
}
