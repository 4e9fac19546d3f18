// Answers of the admin API as tables for a terminal. What came over the network is shown without control characters.

export type Row = Readonly<Record<string, unknown>>;

export interface Column {
  readonly title: string;
  readonly of: (row: Row) => unknown;
  readonly right?: true;
}

/** Lines: the titles, then a line a row, in columns as wide as their widest value. */
export function formatTable(columns: readonly Column[], rows: readonly Row[]): string[] {
  const cells = [columns.map(({ title }) => title), ...rows.map((row) => columns.map(({ of }) => plain(of(row))))];
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => line[i]?.length ?? 0)));
  return cells.map((line) =>
    line
      .map((text, i) => (columns[i]?.right ? text.padStart(widths[i] ?? 0) : text.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

/** One line, whatever is in it. */
export function plain(value: unknown): string {
  if (value === null || value === undefined || value === '') return '-';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal acts on control characters
  return String(value).replace(/[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g, '?');
}

const UNITS = ['B', 'K', 'M', 'G', 'T'];

/** Bytes in at most five characters. */
export function shortBytes(value: unknown): string {
  let [left, unit] = [Number(value), 0];
  while (left >= 1024 && unit < UNITS.length - 1) {
    left /= 1024;
    unit++;
  }
  return `${unit === 0 || left >= 10 ? Math.round(left) : left.toFixed(1)}${UNITS[unit]}`;
}

/** A duration in its two greatest units. */
export function shortDuration(seconds: unknown): string {
  const whole = Math.floor(Number(seconds));
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${whole % 60}s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)}h${Math.floor((whole % 3600) / 60)}m`;
  return `${Math.floor(whole / 86_400)}d${Math.floor((whole % 86_400) / 3600)}h`;
}

export const SERVERS: readonly Column[] = [
  { title: 'UPSTREAM', of: (row) => row['upstream'] },
  { title: 'SERVER', of: (row) => row['server'] },
  { title: 'HEALTHY', of: (row) => (row['healthy'] === true ? 'yes' : 'no') },
  { title: 'ELIGIBLE', of: (row) => (row['eligible'] === true ? 'yes' : 'no') },
  { title: 'LIVE', of: (row) => row['live'], right: true },
  {
    title: 'RATE',
    of: (row) => `${sum(row, 'handshakes_per_second', 'requests_per_second').toFixed(1)}/s`,
    right: true,
  },
  { title: 'ERRORS', of: (row) => row['errors'], right: true },
  { title: 'WHY', of: (row) => (row['why'] === null ? null : `${row['why']}, since ${clock(row['since'])}`) },
];

const ID: Column = { title: 'ID', of: (row) => row['id'] };
const RATE: Column = { title: 'RATE', of: (row) => `${shortBytes(row['bytes_per_second'])}/s`, right: true };
const SERVER: Column = { title: 'SERVER', of: (row) => row['server'] };
const WHOSE: readonly Column[] = [
  { title: 'ROUTE', of: (row) => row['route'] },
  { title: 'CLIENT', of: (row) => row['client'] },
  { title: 'USER', of: (row) => row['user'] },
  { title: 'AGE', of: (row) => shortDuration(row['age_seconds']), right: true },
];
const CARRIED: readonly Column[] = [
  { title: 'IDLE', of: (row) => shortDuration(row['idle_seconds']), right: true },
  { title: 'IN', of: (row) => shortBytes(row['bytes_in']), right: true },
  { title: 'OUT', of: (row) => shortBytes(row['bytes_out']), right: true },
  {
    title: 'MESSAGES',
    of: (row) => (row['messages_in'] === null ? null : sum(row, 'messages_in', 'messages_out')),
    right: true,
  },
];

/** What a terminal has no room for is at the end: the id, by which a session is closed, is first. */
export const CONNECTIONS: readonly Column[] = [ID, ...WHOSE, RATE, SERVER, ...CARRIED];

/** The same for `top`, which is looked at for who does how much. */
export const BUSIEST: readonly Column[] = [RATE, ...WHOSE, ...CARRIED, SERVER, ID];

export const REFUSALS: readonly Column[] = [
  { title: 'TIME', of: (row) => clock(row['at']) },
  { title: 'CLIENT', of: (row) => row['client'] },
  { title: 'ROUTE', of: (row) => row['route'] },
  { title: 'STATUS', of: (row) => row['status'], right: true },
  { title: 'REASON', of: (row) => row['reason'] },
  { title: 'RULE', of: (row) => row['rule'] },
  { title: 'ORIGIN', of: (row) => row['origin'] },
];

/** The time of day of an RFC 3339 time, in UTC. */
function clock(time: unknown): string {
  return String(time).slice(11, 19);
}

function sum(row: Row, one: string, other: string): number {
  return Number(row[one] ?? 0) + Number(row[other] ?? 0);
}
