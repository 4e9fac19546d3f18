// Writes a draft as the text of a gateway.yaml: blocks as a person would write them, remarks as comments where they belong.
import type { Draft, DraftPart, Value } from './draft.ts';

/** Longest value that is written in one line. */
const MAX_LINE = 100;

/** The text of the config file. */
export function writeDraft({ source, listeners, trusted = [], upstreams, routes, remarks }: Draft): string {
  const lines = [
    `# Made from ${oneLine(source)}. Look through the remarks, then:  upgate check -c gateway.yaml`,
    ...remarks.map(remark),
    '',
    'listeners:',
    ...listeners.flatMap((part) => item(part)),
    ...(trusted.length === 0 ? [] : ['', ...block({ trusted_proxies: trusted }, '')]),
    ...(upstreams.size === 0 ? [] : ['', 'upstreams:']),
    ...[...upstreams].flatMap(([name, part]) => [
      ...part.remarks.map((text) => `  ${remark(text)}`),
      `  ${scalar(name)}:`,
      ...block(part.value, '    '),
    ]),
    '',
    '# The first route that fits takes a request.',
    'routes:',
    ...routes.flatMap((part, i) => [...(i === 0 ? [] : ['']), ...item(part)]),
  ];
  return `${lines.join('\n')}\n`;
}

/** An entry of a list, its remarks before it. */
function item({ remarks, value }: DraftPart): string[] {
  const [first = '', ...rest] = block(value, '    ');
  return [...remarks.map((text) => `  ${remark(text)}`), `  - ${first.trimStart()}`, ...rest];
}

function block(value: { readonly [key: string]: Value | undefined }, indent: string): string[] {
  return Object.entries(value).flatMap(([key, inner]) => {
    if (inner === undefined) return [];
    const line = `${indent}${scalar(key)}: ${flow(inner)}`;
    if (!isMap(inner) || (line.length <= MAX_LINE && depth(inner) < 2))
      return list(inner, `${indent}${scalar(key)}:`, line);
    return [`${indent}${scalar(key)}:`, ...block(inner, `${indent}  `)];
  });
}

/** A list that does not fit one line has a line for each entry. */
function list(value: Value, head: string, line: string): string[] {
  if (!Array.isArray(value) || line.length <= MAX_LINE) return [line];
  const indent = ' '.repeat(head.length - head.trimStart().length + 2);
  return [head, ...value.map((entry: Value) => `${indent}- ${flow(entry)}`)];
}

function depth(value: Value): number {
  return typeof value === 'object' && !Array.isArray(value)
    ? 1 + Math.max(0, ...Object.values(value).map((v) => depth(v ?? '')))
    : 0;
}

function isMap(value: Value): value is { readonly [key: string]: Value | undefined } {
  return typeof value === 'object' && !Array.isArray(value);
}

function flow(value: Value): string {
  if (Array.isArray(value)) return `[${value.map(flow).join(', ')}]`;
  if (!isMap(value)) return scalar(value as string | number | boolean);
  const entries = Object.entries(value).flatMap(([key, inner]) =>
    inner === undefined ? [] : [`${scalar(key)}: ${flow(inner)}`],
  );
  return `{ ${entries.join(', ')} }`;
}

/** What can stand as it is, inside brackets too: no number, no word of YAML, no indicator. */
const PLAIN = /^[A-Za-z/][A-Za-z0-9_./*-]*(?::\/\/[A-Za-z0-9_.-]+(?::\d+)?)?$/;
const WORDS = /^(?:true|false|yes|no|on|off|null|y|n)$/i;
const QUANTITY = /^\d+(?:ms|s|m|h|B|KiB|MiB|GiB)$/;

function scalar(value: string | number | boolean): string {
  if (typeof value !== 'string') return String(value);
  if (QUANTITY.test(value) || (PLAIN.test(value) && !WORDS.test(value))) return value;
  // The environment is asked for `${NAME}` in any value; doubled it is the text.
  return JSON.stringify(value.replaceAll('${', '$${'));
}

function remark(text: string): string {
  return `# ${oneLine(text)}`;
}

function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not stand in a comment
  return text.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]+/g, ' ').slice(0, 300);
}
