// A line of the log as a person at a terminal reads it, made from the JSON line that is written elsewhere. Nothing in a
// record reaches the terminal as anything but text: what a terminal would obey is escaped.
import { lookupTable } from '../base/lookup-table.ts';

export interface TextStyle {
  /** Colours by ANSI sequences. */
  readonly colour: boolean;
  /** The time of day, by the machine's zone; else date and time as the record has them. */
  readonly clock: boolean;
}

type LogRecord = Readonly<Record<string, unknown>>;

/** What is shown of an event that there are many of, in this order; JSON has all of it. */
interface Shown {
  readonly title: string;
  /** The title where `result` is `failure`. */
  readonly failed?: string;
  /** Values that need no name. */
  readonly bare: readonly string[];
  readonly named: readonly string[];
}

const WHO = ['route', 'user', 'client'];

const SHOWN = lookupTable<Shown>({
  request_completed: {
    title: 'request',
    bare: ['status', 'method', 'place', 'duration_ms'],
    named: ['reason', 'detail', 'rule', ...WHO],
  },
  session_opened: { title: 'session opened', bare: ['place'], named: ['subprotocol', ...WHO] },
  session_closed: {
    title: 'session closed',
    bare: ['close_code', 'place', 'duration_ms'],
    named: ['closed_by', 'reason', ...WHO, 'messages_in', 'messages_out'],
  },
  handshake_rejected: {
    title: 'handshake rejected',
    bare: ['status', 'reason', 'place'],
    named: ['detail', 'rule', 'origin', ...WHO],
  },
  handshake_failed: {
    title: 'handshake failed',
    bare: ['status', 'reason', 'place'],
    named: ['detail', 'rule', ...WHO],
  },
  // Its words are those of the report already.
  config_reloaded: { title: 'config reloaded', failed: 'config not reloaded', bare: [], named: ['trigger'] },
  handshake_passed: { title: 'handshake passed', bare: ['status', 'place'], named: ['server', 'origin', ...WHO] },
});

/** Written elsewhere in the line, or of no use in it. */
const NOT_NAMED = new Set(['time', 'level', 'event', 'msg']);
/** What has lines of its own. */
const BELOW = new Set(['problems', 'stack']);

const COLOURS = { dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;
type Colour = keyof typeof COLOURS;
const LEVEL_COLOURS = lookupTable<Colour>({
  trace: 'dim',
  debug: 'dim',
  info: 'cyan',
  warn: 'yellow',
  error: 'red',
  fatal: 'red',
});

/** The text for one JSON line of the log, with its end; of several lines where it has a stack or problems, those indented. */
export function textLine(json: string, { colour, clock }: TextStyle): string {
  const record = JSON.parse(json) as LogRecord;
  const paint = (name: Colour, text: string): string => (colour ? `\u001b[${COLOURS[name]}m${text}\u001b[0m` : text);
  const level = String(record['level']);
  const event = String(record['event']);
  const shown = SHOWN[event];
  const parts = [
    paint('dim', clock ? timeOfDay(String(record['time'])) : String(record['time'])),
    paint(LEVEL_COLOURS[level] ?? 'dim', level.padEnd(5)),
    titleOf(record, shown),
    ...bareOf(record, shown, paint),
    ...namedOf(record, shown).map(([name, value]) => `${paint('dim', `${name}=`)}${value}`),
  ];
  return [parts.join(' '), ...linesBelow(record).map((line) => `    ${line}`), ''].join('\n');
}

function titleOf({ event, msg, result }: LogRecord, shown: Shown | undefined): string {
  const failed = result === 'failure' ? shown?.failed : undefined;
  const named = failed ?? shown?.title ?? String(event).replaceAll('_', ' ');
  if (msg === undefined) return named;
  return event === 'notice' ? printable(String(msg)) : `${named}: ${printable(String(msg))}`;
}

function bareOf(record: LogRecord, shown: Shown | undefined, paint: (name: Colour, text: string) => string): string[] {
  return (shown?.bare ?? []).flatMap((name) => {
    const value = name === 'place' ? `${record['host']}${record['path']}` : record[name];
    if (value === null || value === undefined) return [];
    const text = formatValue(name, value);
    return [name === 'status' || name === 'close_code' ? paint(colourOf(name, Number(value)), text) : text];
  });
}

/** Name and value of what follows: of an event without a choice of its own everything that has a value. */
function namedOf(record: LogRecord, shown: Shown | undefined): [string, string][] {
  const names = shown?.named ?? Object.keys(record).filter((name) => !NOT_NAMED.has(name) && !BELOW.has(name));
  return names.flatMap((name): [string, string][] => {
    const value = record[name];
    return value === null || value === undefined ? [] : [[name.replace(/_ms$/, ''), formatValue(name, value)]];
  });
}

function linesBelow({ problems, stack }: LogRecord): string[] {
  const listed = Array.isArray(problems) ? problems.map(String) : [];
  return [...listed, ...(typeof stack === 'string' ? [stack] : [])].flatMap((text) => text.split('\n').map(printable));
}

function colourOf(name: string, code: number): Colour {
  if (name === 'close_code') return code <= 1001 || code === 1005 ? 'green' : 'yellow';
  if (code < 400) return 'green';
  return code < 500 ? 'yellow' : 'red';
}

function formatValue(name: string, value: unknown): string {
  if (typeof value === 'number' && name.endsWith('_ms')) return formatDuration(value);
  if (Array.isArray(value)) return value.map((item) => quoted(String(item))).join(',');
  return quoted(typeof value === 'object' ? JSON.stringify(value) : String(value));
}

function formatDuration(ms: number): string {
  if (ms < 1000) return `${ms < 10 ? ms : Math.round(ms)}ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)}s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes}m${Math.floor(seconds % 60)}s`
    : `${Math.floor(minutes / 60)}h${Math.floor(minutes % 60)}m`;
}

/** A value as one word: in quotes where it has a space or what is not plain ASCII. */
function quoted(text: string): string {
  return /^[\u0021\u0023-\u007e]+$/.test(text) ? text : printable(JSON.stringify(text));
}

/** Without controls, separators of lines and what turns the direction of writing: they are shown by number. */
function printable(text: string): string {
  return text.replace(
    /[\p{C}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u${character.codePointAt(0)?.toString(16).padStart(4, '0')}`,
  );
}

function timeOfDay(iso: string): string {
  const time = new Date(iso);
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':');
}
