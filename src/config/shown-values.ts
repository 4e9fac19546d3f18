// The values of the current config for display: secrets are replaced, and a value from the environment is shown as its
// reference. Each has its origin.
import type { ConfigPath } from './problem.ts';
import type { Config } from './schema/schema.ts';
import { SECRET_KEY } from './yaml/document.ts';
import { formatPath, type Positions, type ValuePosition } from './yaml/positions.ts';

export interface ShownValue {
  readonly path: string;
  readonly value: string | number | boolean | null;
  /** `default`, `file` (beyond the positions that are kept), or the line and column in the file. */
  readonly from: 'default' | 'file' | 'environment';
  readonly line: number | null;
  readonly column: number | null;
}

const HIDDEN = '(secret)';
/** The longest value that is shown, in characters. */
const LONGEST = 1024;

/** Each value of a config in the order of its keys, secrets replaced, long ones cut at 1,024 characters. */
export function* shownValues(config: Config, positions: Positions): Generator<ShownValue> {
  yield* walk(config, [], positions);
}

function* walk(value: unknown, path: ConfigPath, positions: Positions): Generator<ShownValue> {
  if (Array.isArray(value)) for (const [index, item] of value.entries()) yield* walk(item, [...path, index], positions);
  else if (typeof value === 'object' && value !== null)
    for (const [key, item] of Object.entries(value)) yield* walk(item, [...path, key], positions);
  else if (value !== undefined) yield show(value, path, positions);
}

function show(value: unknown, path: ConfigPath, positions: Positions): ShownValue {
  const { at, exact } = findPosition(path, positions);
  const shown = isSecret(path) ? HIDDEN : at?.written !== undefined ? maskUrl(at.written) : plain(value);
  const from = at === null ? 'default' : at.written === undefined ? 'file' : 'environment';
  // A value that was parsed from a text, such as the host of a URL, has the position of that text.
  const text = at?.written !== undefined && !exact && !isSecret(path) ? HIDDEN_PART : shown;
  return { path: formatPath(path), value: text, from, line: at?.line ?? null, column: at?.column ?? null };
}

/** A part of a value that came from the environment. */
const HIDDEN_PART = '(from the environment)';

/** The scalar of the file that it is, or was made of. */
function findPosition(path: ConfigPath, positions: Positions): { at: ValuePosition | null; exact: boolean } {
  for (let length = path.length; length > 0; length--) {
    const at = positions.get(formatPath(path.slice(0, length)));
    if (at !== undefined) return { at, exact: length === path.length };
  }
  return { at: null, exact: false };
}

/** By its key, also where it is in a list of them; hashes of passwords stand under names of users. */
function isSecret(path: ConfigPath): boolean {
  const key = path.findLast((step) => typeof step === 'string') ?? '';
  const ofUsers = path.some((step, i) => step === 'users' && path[i - 1] === 'basic');
  return ofUsers || (SECRET_KEY.test(key) && !key.endsWith('_file'));
}

function plain(value: unknown): string | number | boolean | null {
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return value;
  const text = maskUrl(String(value));
  if (text.includes('PRIVATE KEY')) return HIDDEN;
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}

/** Without userinfo and without a query, which may hold a token. */
function maskUrl(text: string): string {
  return text.replace(/\/\/[^/?#]*@/, '//***@').replace(/^([a-z+]+:\/\/[^?]*)\?.*$/s, '$1?…');
}
