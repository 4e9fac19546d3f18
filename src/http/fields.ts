// Header fields as they came: flat name, value, … lists, and what RFC 9110 says of reading them. Pure. Which fields go
// on to the other side is policy.ts.

/** Fields in their order of arrival, flat: name, value, name, value, …; casing and repetitions kept. */
export type Fields = readonly string[];

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Whether `text` is a token of RFC 9110 §5.6.2. */
export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/** A token right before the colon, and a line without what no field may hold: control characters other than HTAB. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const FIELD_LINE = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00-\x08\x0a-\x1f\x7f]*$/;

/** Adds a field line, given without its CR LF, to flat fields and to their names in lower case; false where it is none (RFC 9112 §5). */
export function pushFieldLine(line: string, fields: string[], names: string[]): boolean {
  if (!FIELD_LINE.test(line)) return false;
  const colon = line.indexOf(':');
  const name = line.slice(0, colon);
  fields.push(name, trimOws(line.slice(colon + 1)));
  names.push(name.toLowerCase());
  return true;
}

/** The names of the fields in lower case, one a field. */
export function lowerNames(fields: Fields): string[] {
  const names: string[] = [];
  for (let i = 0; i < fields.length; i += 2) names.push((fields[i] as string).toLowerCase());
  return names;
}

/** Anything that holds fields beside their names in lower case, so that names are lowered once. */
export interface FieldSection {
  readonly fields: Fields;
  readonly names: readonly string[];
}

/** The values of every field with this name, given in lower case, trimmed of OWS. */
export function valuesOf(section: FieldSection, name: string): string[] {
  const values: string[] = [];
  for (let i = section.names.indexOf(name); i !== -1; i = section.names.indexOf(name, i + 1)) {
    values.push(trimOws(section.fields[2 * i + 1] as string));
  }
  return values;
}

/** Trims optional whitespace, SP and HTAB and nothing else (RFC 9110 §5.6.3). */
export function trimOws(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isOws(text.charCodeAt(start))) start++;
  while (end > start && isOws(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isOws(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/**
 * The elements of a comma-separated list over all lines of the field, empty ones left out (RFC 9110 §5.6.1). For lists
 * whose elements hold no quoted strings.
 */
export function listElements(section: FieldSection, name: string): string[] {
  const elements: string[] = [];
  for (const value of valuesOf(section, name)) for (const element of splitList(value)) elements.push(element);
  return elements;
}

/** The elements of one list, trimmed, empty ones left out; for lists whose elements hold no quoted strings. */
export function splitList(text: string): string[] {
  if (!text.includes(',')) return text === '' ? [] : [trimOws(text)];
  return text
    .split(',')
    .map(trimOws)
    .filter((element) => element !== '');
}

/**
 * The parts between a separator that stands outside of quoted strings (RFC 9110 §5.6.4). A quote that is never closed
 * takes everything behind it into its part, which its reader then finds malformed.
 */
export function splitOutsideQuotes(text: string, separator: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '"') quoted = !quoted;
    else if (quoted && text[i] === '\\') i++;
    else if (!quoted && text[i] === separator) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}

/** Whether the joined list of the field holds this token, given in lower case, in any case. */
export function listHas(section: FieldSection, name: string, token: string): boolean {
  // Asked six times for each handshake: nothing is built for a value that is one element.
  for (let i = section.names.indexOf(name); i !== -1; i = section.names.indexOf(name, i + 1)) {
    const value = section.fields[2 * i + 1] as string;
    if (value === token) return true;
    const found = value.includes(',')
      ? value.split(',').some((part) => trimOws(part).toLowerCase() === token)
      : trimOws(value).toLowerCase() === token;
    if (found) return true;
  }
  return false;
}

/** The fields without those of these names, given in lower case. */
export function without(fields: Fields, names: ReadonlySet<string>): string[] {
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (!names.has(name.toLowerCase())) kept.push(name, fields[i + 1] as string);
  }
  return kept;
}
