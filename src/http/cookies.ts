// The one cookie that is asked for, out of a request's Cookie fields (RFC 6265 §5.4). Pure.
import { type FieldSection, trimOws, valuesOf } from './fields.ts';

/** The value of the first cookie with this name, as it stands there; null where there is none. */
export function cookieOf(section: FieldSection, name: string): string | null {
  for (const value of valuesOf(section, 'cookie')) {
    for (const pair of value.split(';')) {
      const equals = pair.indexOf('=');
      if (equals !== -1 && trimOws(pair.slice(0, equals)) === name) return trimOws(pair.slice(equals + 1));
    }
  }
  return null;
}
