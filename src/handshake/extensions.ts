// The syntax of Sec-WebSocket-Extensions (RFC 6455 §9.1). Pure. What the extensions mean is between the two ends; the
// gateway only makes sure that both read the same list.
import { type FieldSection, isToken, splitOutsideQuotes, trimOws, valuesOf } from '../http/fields.ts';
import { type Rejection, reject } from './rejection.ts';

/** One `name; parameter=value; …` of the list, its value unquoted. */
export interface Extension {
  readonly name: string;
  readonly parameters: readonly (readonly [name: string, value: string | null])[];
}

/**
 * Reads the extensions offered over all lines of the field, or says that they are malformed. Empty elements of the list
 * count for nothing (RFC 9110 §5.6.1.2).
 */
export function readExtensions(head: FieldSection): Extension[] | Rejection {
  const extensions: Extension[] = [];
  for (const value of valuesOf(head, 'sec-websocket-extensions')) {
    for (const element of splitOutsideQuotes(value, ',').map(trimOws)) {
      if (element === '') continue;
      const extension = parseExtension(element);
      if (extension === null) return reject('malformed', 'Sec-WebSocket-Extensions is malformed');
      extensions.push(extension);
    }
  }
  return extensions;
}

function parseExtension(text: string): Extension | null {
  const [name = '', ...rest] = splitOutsideQuotes(text, ';').map(trimOws);
  if (!isToken(name)) return null;
  const parameters: [string, string | null][] = [];
  for (const part of rest) {
    const cut = part.indexOf('=');
    const parameter = trimOws(cut === -1 ? part : part.slice(0, cut));
    const value = cut === -1 ? null : unquote(trimOws(part.slice(cut + 1)));
    if (!isToken(parameter) || (value !== null && !isToken(value))) return null;
    parameters.push([parameter, value]);
  }
  return { name, parameters };
}

/** The content of a quoted string, which must be a token here (RFC 6455 §9.1); other text stays as it is. */
function unquote(text: string): string {
  if (text.length < 2 || !text.startsWith('"') || !text.endsWith('"')) return text;
  return text.slice(1, -1).replace(/\\(.)/g, '$1');
}
