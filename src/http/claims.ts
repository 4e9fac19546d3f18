// Claims as text: what a claim is called in the config, and what of its value can stand in a field. Pure.

/** What credentials say of their bearer, by name. */
export type Claims = Readonly<Record<string, unknown>>;

/**
 * A claim by its name, or, where none has it, by a path of names with dots between them (`realm_access.roles`);
 * undefined where there is none.
 */
export function claimOf(claims: Claims, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  let value: unknown = claims;
  for (const part of name.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Claims)[part];
  }
  return value;
}

/** Whether objects and lists stand in each other more than `most` times. */
export function nestsDeeper(value: unknown, most: number): boolean {
  let level = [value].filter(isContainer);
  for (let depth = 0; level.length > 0; depth++) {
    if (depth === most) return true;
    level = level.flatMap((container) => Object.values(container).filter(isContainer));
  }
  return false;
}

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** What no value of a field may hold, and what would be lost at its ends (RFC 9110 §5.5). */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const UNSENDABLE = /[\x00-\x1f\x7f]|^ | $/;

/**
 * A claim as the value of a field, in octets of UTF-8; null where it is missing, empty, or would reach the backend as
 * another one: with a control character, with a space at an end, or as a list with a comma within an element.
 */
export function formatClaim(value: unknown): string | null {
  const texts = [value].flat().map(textOf);
  if (texts.length === 0 || texts.includes(null)) return null;
  if (Array.isArray(value) && texts.some((text) => text?.includes(',') || text === '')) return null;
  const text = texts.join(',');
  if (text === '' || texts.some((each) => UNSENDABLE.test(each as string))) return null;
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** Text, numbers and truth values are what can be written; null for the rest. */
export function textOf(value: unknown): string | null {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : null;
}

/** Whether a claim is there (`*`), is this text, or has it in its list; `scope` is a list in one text (RFC 8693 §4.2). */
export function claimHas(claims: Claims, name: string, wanted: string): boolean {
  const value = claimOf(claims, name);
  if (value === undefined || value === null) return false;
  if (wanted === '*') return true;
  const words = name === 'scope' && typeof value === 'string' ? value.split(' ') : [];
  return [value, ...words].flat().some((each) => textOf(each) === wanted);
}
