// What the lists of the admin API have in common: how long a page is, where the next one begins, and which parameters there are.
import { type AdminResponse, problem } from '../answer.ts';

export const DEFAULT_LIMIT = 100;
export const MAX_LIMIT = 1000;

export const malformed = (detail: string): AdminResponse => problem(400, 'malformed', detail);

/** The `limit` of a query; a string says what is wrong with it. */
export function readLimit(query: URLSearchParams): number | string {
  const text = query.get('limit');
  if (text === null) return DEFAULT_LIMIT;
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  return limit >= 1 && limit <= MAX_LIMIT ? limit : `limit is a number from 1 to ${MAX_LIMIT}`;
}

/** A whole number of a query, `otherwise` where it is not given; a string says what is wrong with it. */
export function readWhole(query: URLSearchParams, name: string, otherwise: number): number | string {
  const text = query.get(name);
  if (text === null) return otherwise;
  return /^\d{1,15}$/.test(text) ? Number(text) : `${name} is a whole number`;
}

/** The query as a record; a string says which parameter came twice. */
export function readOnce(query: URLSearchParams): Record<string, string> | string {
  const found: Record<string, string> = Object.create(null);
  for (const [name, value] of query) {
    if (Object.hasOwn(found, name)) return `${JSON.stringify(name)} is there twice`;
    found[name] = value;
  }
  return found;
}

/** As readOnce(); a string may also say which parameter is none of `names`. */
export function readNamed(query: URLSearchParams, names: readonly string[]): Record<string, string> | string {
  const given = readOnce(query);
  const unknown = typeof given === 'string' ? undefined : Object.keys(given).find((name) => !names.includes(name));
  return unknown === undefined ? given : `${JSON.stringify(unknown)} is none of ${names.join(', ')}`;
}
