// Events become JSON lines on standard output: one at each open, close, refusal and request, under one id, and one for
// whatever an operator should see. What must not be logged is not in the events; what is, is bounded here.
import { type Logger, pino, stdTimeFunctions } from 'pino';
import type { Emit, GatewayEvent, ServerRef, Subject } from '../events.ts';
import { Output } from './output.ts';

export type Level = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

export interface LogSettings {
  /** The least level that is written. */
  readonly level: Level;
  /** Whether each request, session and refusal gets its line; warnings and notices are written either way. */
  readonly access: boolean;
}

/** Takes lines, each with its end. */
export interface Destination {
  write(line: string): void;
  /** Resolves once they are written. */
  flush(): Promise<void>;
}

export interface LogOptions extends LogSettings {
  /** Where lines go; default standard output, written without blocking. */
  readonly destination?: Destination;
}

export interface Log {
  readonly emit: Emit;
  /** Takes effect with the next event. */
  configure(settings: LogSettings): void;
  /** Resolves once all lines are written, or after a second; at the process's exit the rest is written in any case. */
  flush(): Promise<void>;
}

type Fields = Readonly<Record<string, unknown>>;

interface Line {
  readonly level: Exclude<Level, 'silent'>;
  /** One of the lines that `access: false` leaves out. */
  readonly access?: true;
  readonly fields: Fields;
}

/** Characters of a value that a client chose. */
const MOST_TEXT = 1024;

export function createLog(options: LogOptions): Log {
  let access = options.access;
  const output = options.destination ?? standardOutput((dropped) => logger.warn({ event: 'log_dropped', dropped }));
  const logger: Logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
    },
    output,
  );
  return {
    emit(event) {
      const line = lineOf(event);
      if (line.access && !access) return;
      logger[line.level]({ event: event.type, ...line.fields });
    },
    configure(settings) {
      logger.level = settings.level;
      access = settings.access;
    },
    flush: () => output.flush(),
  };
}

/** Standard output, written to the last line however the process ends. */
function standardOutput(onDropped: (lines: number) => void): Output {
  const output = new Output(process.stdout.fd, onDropped);
  process.once('exit', () => output.flushSync());
  return output;
}

const info = (fields: Fields): Line => ({ level: 'info', fields });
const access = (fields: Fields): Line => ({ level: 'info', access: true, fields });
const warn = (fields: Fields): Line => ({ level: 'warn', fields });
const debug = (fields: Fields): Line => ({ level: 'debug', fields });

type Writers = { readonly [T in GatewayEvent['type']]: (event: Extract<GatewayEvent, { type: T }>) => Line };

/** The line of each event. */
const WRITERS: Writers = {
  session_opened: (event) =>
    access({
      ...subject(event),
      mode: event.mode,
      ...server(event.at),
      origin: clean(event.origin),
      subprotocol: event.subprotocol,
      duration_ms: round(event.durationMs),
    }),
  session_closed: (event) =>
    access({
      ...subject(event),
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
    }),
  handshake_rejected: (event) =>
    access({
      ...subject(event),
      mode: event.mode,
      status: event.status,
      reason: event.reason,
      detail: clean(event.detail),
      origin: clean(event.origin),
    }),
  handshake_failed: (event) =>
    warn({
      ...subject(event),
      mode: event.mode,
      ...server(event.at),
      status: event.status,
      reason: event.reason,
      detail: clean(event.detail),
    }),
  handshake_passed: (event) =>
    access({
      ...subject(event),
      mode: event.mode,
      ...server(event.at),
      status: event.status,
      duration_ms: round(event.durationMs),
    }),
  request_completed: (event) =>
    access({
      ...subject(event),
      ...server(event.at),
      status: event.status,
      reason: event.reason,
      detail: clean(event.detail),
      duration_ms: round(event.durationMs),
      bytes_out: event.bytesToClient,
    }),
  head_refused: (event) =>
    access({ client: event.client, status: event.status, reason: event.reason, detail: clean(event.detail) }),
  upstream_connected: (event) => debug({ ...server(event), duration_ms: round(event.durationMs) }),
  upstream_failed: (event) =>
    warn({ id: event.id, ...server(event), reason: event.reason, detail: clean(event.detail) }),
  ping: (event) => debug({ route: event.route, result: event.result }),
  config_reloaded: (event) => ({
    level: event.result === 'success' ? 'info' : 'error',
    fields: {
      result: event.result,
      trigger: event.trigger,
      ...(event.problems.length === 0 ? {} : { problems: event.problems }),
    },
  }),
  certificate_loaded: (event) =>
    info({ listener: event.listener, names: event.names, not_after: new Date(event.notAfterMs).toISOString() }),
  drain: (event) => ({
    level: event.phase === 'cut' ? 'warn' : 'info',
    fields: { phase: event.phase, sessions: event.sessions },
  }),
  notice: (event) => ({ level: event.level, fields: { ...event.data, msg: event.message } }),
};

function lineOf(event: GatewayEvent): Line {
  // Each writer stands under the type of the event it takes.
  return (WRITERS[event.type] as (event: GatewayEvent) => Line)(event);
}

function subject({ id, route, client, method, host, path }: Subject): Fields {
  return { id, route, client, method: clean(method), host: clean(host), path: clean(path) };
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
  const short = text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}…` : text;
  return short.replace(/[\u007f-\u009f\u2028\u2029]/g, '?');
}
