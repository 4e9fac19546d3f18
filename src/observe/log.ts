// Events become lines on standard output: one at each open, close, refusal and request, under one id, and one for whatever
// an operator should see. What is in a line is in log-records.ts; pino writes it as JSON, which text-line.ts words for people.
import { type Logger, pino, stdTimeFunctions } from 'pino';
import type { Emit } from '../events.ts';
import { LineLimit } from './line-limit.ts';
import { type Level, writerOf } from './log-records.ts';
import { Output } from './output.ts';
import { type TextStyle, textLine } from './text-line.ts';

/** `auto`: text where standard output is a terminal, else JSON. */
export type LogFormat = 'auto' | 'text' | 'json';

export interface LogSettings {
  /** The least level that is written. */
  readonly level: Level;
  /** Whether each request, session and refusal gets its line; warnings and notices are written either way. */
  readonly access: boolean;
  readonly format: LogFormat;
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
  /** Whether lines go to a terminal; default: whether standard output is one. */
  readonly terminal?: boolean;
  /** NO_COLOR and TERM are asked about colours; default: the process's. */
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

/** Colours are for terminals that show them, unless NO_COLOR is set to something (no-color.org). */
function styleOn(terminal: boolean, { NO_COLOR, TERM }: NonNullable<LogOptions['env']>): TextStyle {
  return { colour: terminal && !NO_COLOR && TERM !== 'dumb', clock: terminal };
}

/** Standard output, written to the last line however the process ends. */
function standardOutput(onDropped: (lines: number) => void): Output {
  const output = new Output(process.stdout.fd, onDropped);
  process.once('exit', () => output.flushSync());
  return output;
}
