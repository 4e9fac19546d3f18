// Hints for values that are nearly right: `60` for `60s`, `1MB` for `1MiB`, a `*` for `any`. No hint repeats a value, except a
// number with its unit, because it could be a secret.

import { lookupTable } from '../../base/lookup-table.ts';
import type { ConfigPath } from '../problem.ts';
import type { JsonSchema } from '../schema/json-schema.ts';
import type { TreeNode } from '../yaml/tree.ts';
import { DURATION_PATTERN, PERCENT_PATTERN, SIZE_PATTERN } from '../yaml/units.ts';

/** The value that means "everything" for a key, for a `*`. */
const EVERYTHING: Readonly<Record<string, string>> = lookupTable({
  origins: 'write origins: any',
  path: 'write path: /*',
  host: 'leave "host" out for any host',
  hosts: 'leave "host" out for any host',
  trusted_proxies: 'write [0.0.0.0/0, "::/0"] for everybody, or better the addresses of the proxies',
  allow: 'leave "allow" out to let everybody in',
  deny: 'write [0.0.0.0/0, "::/0"] for everybody',
});

const ALL = new Set(['*', 'all', 'any', '**', '.*']);

/** A hint for a value that starts with `*` without quotes, which YAML reads as an alias; `name` is the text after it. */
export function aliasHint(path: ConfigPath, name: string): string {
  const key = keyOf(path);
  if (name === '') return EVERYTHING[key] ?? 'put it in quotes: "*"';
  if (key === 'origins') return 'write it with its scheme and in quotes: ["https://*.example.com"]';
  return key === 'host' ? 'put it in quotes: "*.example.com"' : 'put a value that begins with "*" in quotes';
}

/** How an invalid value was probably meant; undefined: unknown. */
export function slipHint(path: ConfigPath, node: TreeNode, schemas: readonly JsonSchema[]): string | undefined {
  const key = keyOf(path);
  const value = node.kind === 'scalar' ? node.value : undefined;
  const text = typeof value === 'string' || typeof value === 'number' ? String(value).trim() : undefined;
  if (text !== undefined && ALL.has(text) && EVERYTHING[key] !== undefined) return EVERYTHING[key];
  const quantity = text === undefined ? undefined : quantityHint(text, schemas);
  if (quantity !== undefined) return quantity;
  if (path[0] === 'listeners') return listenerHint(path, node, text);
  if (path[0] === 'upstreams' && path.length === 2) return 'write { servers: [ws://127.0.0.1:3000] }';
  if (key === 'upstream' && text !== undefined && /[:/]/.test(text))
    return 'an address goes into upstreams: { chat: { servers: [ws://127.0.0.1:3000] } }, and its name here: upstream: chat';
  return node.kind === 'map' && schemas.some(({ items }) => items !== undefined)
    ? 'a list has a "- " before each of its entries'
    : undefined;
}

/** How an invalid host, path or origin was probably meant; undefined: unknown. */
export function patternHint(key: 'host' | 'path' | 'origins', text: string): string | undefined {
  if (ALL.has(text)) return EVERYTHING[key];
  const isUrl = /^[a-z]+:\/\//i.test(text);
  if (key === 'origins') return text.startsWith('*.') ? `write "https://${text}"` : undefined;
  if (key === 'host') {
    if (isUrl) return 'write the name alone: app.example.com';
    return text.startsWith('.') ? `write "*${text}"` : undefined;
  }
  if (/^[~^]|\.\*|[\\$()|]/.test(text)) return 'there are no regular expressions; write /a, /a/* or /a/{name}';
  if (isUrl) return 'write the path alone, and the name as match.host';
  if (/^[A-Za-z0-9_]/.test(text)) return `write /${text}`;
  return /^\/[^*?#]*[^*?#/]\*$/.test(text) ? `write ${text.slice(0, -1)}/* for all below it` : undefined;
}

function listenerHint(path: ConfigPath, node: TreeNode, text: string | undefined): string | undefined {
  if (path.length === 1) return node.kind === 'map' ? 'write it as a list: [{ port: 80 }]' : 'write [{ port: 80 }]';
  if (path[2] === 'tls' && path.length === 3)
    return 'write tls: { certificates: [{ cert: chain.pem, key: key.pem }] }, or { self_signed: [localhost] } to try it out';
  if (path.length !== 2) return undefined;
  if (text !== undefined && /^[a-z_]+:\S/i.test(text)) return 'a ":" needs a space behind it: port: 80';
  return text !== undefined && /^\S+:\d+$/.test(text) ? 'write { host: ADDRESS, port: PORT }' : 'write { port: 80 }';
}

const DURATION_WORDS: Readonly<Record<string, readonly [number, string]>> = lookupTable({
  '': [1, 's'],
  ...unit([1, 'ms'], 'ms msec msecs millis milliseconds millisecond'),
  ...unit([1, 's'], 's sec secs second seconds'),
  ...unit([1, 'm'], 'm min mins minute minutes'),
  ...unit([1, 'h'], 'h hr hrs hour hours'),
  ...unit([24, 'h'], 'd day days'),
  ...unit([168, 'h'], 'w week weeks'),
});

const SIZE_WORDS: Readonly<Record<string, readonly [number, string]>> = lookupTable({
  ...unit([1, 'B'], ' b byte bytes'),
  ...unit([1, 'KiB'], 'k kb kib'),
  ...unit([1, 'MiB'], 'm mb mib'),
  ...unit([1, 'GiB'], 'g gb gib'),
});

function unit(meaning: readonly [number, string], words: string): Record<string, readonly [number, string]> {
  return Object.fromEntries(words.split(' ').map((word) => [word, meaning]));
}

/** A number with an unknown unit, or without a unit. */
function quantityHint(text: string, schemas: readonly JsonSchema[]): string | undefined {
  const [, digits, word = ''] = /^(\d{1,15}(?:\.\d{1,3})?)\s{0,3}([A-Za-z%]{0,12})$/.exec(text) ?? [];
  if (digits === undefined) return undefined;
  // A correctly written value is wrong for another reason.
  const isOf = (form: RegExp) => !form.test(text) && schemas.some(({ pattern }) => pattern === form.source);
  const written = (units: typeof SIZE_WORDS) => {
    const [times, name] = units[word.toLowerCase()] ?? [];
    return times === undefined ? undefined : `write ${Number(digits) * times}${name}`;
  };
  if (isOf(DURATION_PATTERN)) return written(DURATION_WORDS);
  if (isOf(SIZE_PATTERN)) return written(SIZE_WORDS);
  if (!isOf(PERCENT_PATTERN)) return undefined;
  const share = word === '' && Number(digits) < 1 ? Number(digits) * 100 : Number(digits);
  return share <= 100 ? `write ${Math.round(share * 10) / 10}%` : undefined;
}

/** The last key of a path; for a list entry, the key of the list. */
function keyOf(path: ConfigPath): string {
  return String(path.findLast((step) => typeof step === 'string') ?? '');
}
