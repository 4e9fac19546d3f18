// Turns events into lines on standard output: one for each open, close, refusal and request, with the same id, and one for
// each event that an operator should see. log-records.ts has the fields; pino writes JSON, and text-line.ts makes text of it.
import { type Logger, pino, stdTimeFunctions } from 'pino';
import type { Emit } from '../events.ts';
import { LineLimit } from './line-limit.ts';
import { type Level, writerOf } from './log-records.ts';
import { Output } from './output.ts';
import { type TextStyle, textLine } from './text-line.ts';

/** `auto`: text where standard output is a terminal, else JSON. */
export type LogFormat = 'auto' | 'text' | 'json';

export interface LogSettings {
  /** The lowest level that is written. */
  readonly level: Level;
  /** Whether requests, sessions and refusals get lines; warnings and notices always do. */
  readonly access: boolean;
  readonly format: LogFormat;
}

/** A destination for lines, each with its line end. */
export interface Destination {
  write(line: string): void;
  /** Resolves once they are written. */
  flush(): Promise<void>;
}

export interface LogOptions extends LogSettings {
  /** Where lines go; default standard output, written without blocking. */
  readonly destination?: Destination;
  /** Whether lines go to a terminal; default: whether standard output is one. */
  readonly terminal?: boolean;
  /** The environment, for NO_COLOR and TERM; default: the process's. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

export interface Log {
  readonly emit: Emit;
  /** Takes effect with the next event. */
  configure(settings: LogSettings): void;
  /** Resolves once all lines are written, or after a second; at the process's exit the rest is written in any case. */
  flush(): Promise<void>;
}

/** Opens the log on standard output, or where the options say. */
export function createLog(options: LogOptions): Log {
  let { access, format } = options;
  const limit = new LineLimit();
  const output = options.destination ?? standardOutput((dropped) => logger.warn({ event: 'log_dropped', dropped }));
  const terminal = options.terminal ?? process.stdout.isTTY;
  const style = styleOn(terminal, options.env ?? process.env);
  const isText = (): boolean => format === 'text' || (format === 'auto' && terminal);
  const logger: Logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
    },
    { write: (line: string) => output.write(isText() ? textLine(line, style) : line) },
  );
  return {
    emit(event) {
      const writer = writerOf(event);
      if (writer.access && !access) return;
      const level = typeof writer.level === 'function' ? writer.level(event) : writer.level;
      if (!logger.isLevelEnabled(level)) return;
      const unwritten = writer.kind === undefined ? 0 : limit.take(`${event.type} ${writer.kind(event)}`);
      if (unwritten === null) return;
      logger[level]({ event: event.type, ...writer.fields(event), ...(unwritten === 0 ? {} : { unwritten }) });
    },
    configure(settings) {
      logger.level = settings.level;
      ({ access, format } = settings);
    },
    flush: () => output.flush(),
  };
}

/** Whether to use colours: on terminals that support them, unless NO_COLOR is set (no-color.org). */
function styleOn(terminal: boolean, { NO_COLOR, TERM }: NonNullable<LogOptions['env']>): TextStyle {
  return { colour: terminal && !NO_COLOR && TERM !== 'dumb', clock: terminal };
}

/** Standard output; every line is written, however the process ends. */
function standardOutput(onDropped: (lines: number) => void): Output {
  const output = new Output(process.stdout.fd, onDropped);
  process.once('exit', () => output.flushSync());
  return output;
}
