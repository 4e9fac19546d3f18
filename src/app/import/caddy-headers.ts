// The field rules of a Caddyfile: toward the backend `header_up` and `request_header`, toward the client `header_down` and `header`.
import type { CaddyLine } from './caddy-syntax.ts';
import type { Value } from './draft.ts';

interface FoundHeaders {
  /** What backends get as Host where it is not the client's. */
  readonly host: string | undefined;
  readonly value: Value | undefined;
}

interface Side {
  readonly set: Record<string, Value>;
  readonly remove: string[];
}

/** The rules for fields in these directives; what can't be carried over becomes a remark. */
export function headersOf(lines: readonly CaddyLine[], remarks: string[]): FoundHeaders {
  const request: Side = { set: {}, remove: [] };
  const response: Side = { set: {}, remove: [] };
  let host: string | undefined;
  for (const { word, field, value, line } of lines.flatMap(rulesIn)) {
    const up = word === 'header_up' || word === 'request_header';
    if (up && field.toLowerCase() === 'host') host = hostFor(value);
    else if (!take(up ? request : response, field, value))
      remarks.push(`line ${line}: ${[word, field, value ?? ''].join(' ').trim()} is not carried`);
  }
  const value = { request: rulesOf(request), response: rulesOf(response) };
  return { host, value: value.request === undefined && value.response === undefined ? undefined : value };
}

interface Rule {
  readonly word: string;
  readonly field: string;
  readonly value: string | undefined;
  readonly line: number;
}

/** One of its line, or one of each line of its block. */
function rulesIn({ words, block, line }: CaddyLine): Rule[] {
  const [word = '', ...args] = words;
  const all = block === null ? [args] : block.map((each) => each.words);
  return all.map(([field = '', value]) => ({ word, field, value, line }));
}

function hostFor(value: string | undefined): string | undefined {
  if (value === '{host}' || value === undefined) return undefined;
  return value.includes('{') ? 'upstream' : value;
}

/** False where it can't be carried. */
function take({ set, remove }: Side, field: string, value: string | undefined): boolean {
  // The gateway says these by itself.
  if (/^x-(?:forwarded-|real-ip)/i.test(field)) return true;
  if (field.startsWith('-')) {
    remove.push(field.slice(1));
    return true;
  }
  if (value === undefined || value.includes('{') || /^[@/*?+>]/.test(field)) return false;
  set[field] = value;
  return true;
}

function rulesOf({ set, remove }: Side): Value | undefined {
  if (Object.keys(set).length + remove.length === 0) return undefined;
  return {
    set: Object.keys(set).length === 0 ? undefined : set,
    remove: remove.length === 0 ? undefined : remove,
  };
}
