// Every field of gateway.yaml as a flat list, and the tables of them in docs/configuration.md. Derived from the schema.

import { lookupTable } from '../../base/lookup-table.ts';
import { DURATION_PATTERN, PERCENT_PATTERN, SIZE_PATTERN } from '../yaml/units.ts';
import { alternatives, inputSchema, type JsonSchema } from './json-schema.ts';

/** One key of the config. */
export interface Field {
  /** As in `routes[].websocket.mode`; `<name>` stands for a name of the writer's own. */
  readonly path: string;
  /** The `mode` that has this field, where only one has it. */
  readonly mode?: string;
  readonly type: string;
  /** As it would be written in the file; undefined where there is none. */
  readonly default?: string;
  /** The units the value may be written in. */
  readonly unit?: string;
  readonly required: boolean;
  readonly description: string;
}

const UNITS = new Map([
  [DURATION_PATTERN.source, { type: 'duration', unit: 'ms, s, m, h' }],
  [SIZE_PATTERN.source, { type: 'size', unit: 'B, KiB, MiB, GiB' }],
  [PERCENT_PATTERN.source, { type: 'share', unit: '%' }],
]);

/** All fields in the order of the schema; a field that both modes of a websocket route share stands once. */
export function listFields(root: JsonSchema = inputSchema()): readonly Field[] {
  const all = [...fieldsOf(root, { path: '' })];
  const twins = (field: Field) => all.filter((other) => sameField(other, field));
  return all
    .filter((field) => twins(field)[0] === field)
    .map((field) => {
      const { mode, ...shared } = field;
      return twins(field).length > 1 || mode === undefined ? shared : { ...shared, mode };
    });
}

/** Where each part of the config is told by examples; paths from docs/configuration.md. */
const RECIPES: Readonly<Record<string, readonly string[]>> = lookupTable({
  listeners: ['tls.md', 'http2.md', 'addresses.md#proxy-preambles-from-proxies'],
  admin: ['api.md', 'operating.md'],
  trusted_proxies: ['addresses.md#how-the-address-is-found'],
  upstreams: ['upstreams.md'],
  'upstreams.<name>.balance': ['upstreams.md#balancing'],
  'upstreams.<name>.sticky': ['upstreams.md#sticky-sessions'],
  'upstreams.<name>.health': ['upstreams.md#health'],
  'upstreams.<name>.retry': ['upstreams.md#retries'],
  'upstreams.<name>.dns': ['upstreams.md#host-names'],
  'upstreams.<name>.tls': ['upstreams.md#tls-to-servers'],
  routes: ['#how-a-route-is-chosen', 'examples.md'],
  'routes[].websocket': ['examples.md', 'rooms.md', 'webhook.md', 'limits.md', 'relay.md'],
  'routes[].http': ['http.md', 'limits.md'],
  'routes[].auth': ['auth.md'],
  'routes[].redirect': ['http.md#what-the-gateway-answers'],
  'routes[].respond': ['http.md#what-the-gateway-answers'],
  'routes[].rewrite': ['http.md#what-a-route-changes'],
  'routes[].headers': ['http.md#what-a-route-changes'],
  limits: ['limits.md'],
  broker: ['rooms.md#several-gateways', 'api.md'],
  drain: ['operating.md#stopping-one'],
  http: ['http.md'],
  relay: ['relay.md#two-engines'],
  log: ['metrics.md#log'],
});

/** A map of a route or of an upstream with so many fields has a table of its own. */
const OWN_TABLE = 4;

/** All fields in Markdown: a heading for each part of the config, links to its recipes, and its table. */
export function formatFieldTable(fields: readonly Field[]): string {
  const parts = new Map<string, Field[]>();
  for (const field of besideTwins(fields)) {
    const part = partOf(field.path, fields);
    parts.set(part, [...(parts.get(part) ?? []), field]);
  }
  return [...parts].map(([part, own]) => formatPart(part, own)).join('\n\n');
}

/** In their order, but those of one path, which differ by mode, together. */
function besideTwins(fields: readonly Field[]): Field[] {
  const byPath = new Map<string, Field[]>();
  for (const field of fields) byPath.set(field.path, [...(byPath.get(field.path) ?? []), field]);
  return [...byPath.values()].flat();
}

function partOf(path: string, fields: readonly Field[]): string {
  const [, large] = /^((?:routes\[\]|upstreams\.<name>)\.\w+)/.exec(path) ?? [];
  if (large !== undefined && fields.filter((field) => field.path.startsWith(`${large}.`)).length >= OWN_TABLE)
    return large;
  return path.replace(/[.[].*$/, '');
}

function formatPart(part: string, fields: readonly Field[]): string {
  const recipes = RECIPES[part] ?? [];
  const links = recipes.map(
    (to) => `[${to.startsWith('#') ? 'above' : to.replace('#', ': ').replaceAll('-', ' ')}](${to})`,
  );
  return [
    `### \`${part}\``,
    ...(links.length === 0 ? [] : ['', `How it is used: ${links.join(', ')}.`]),
    '',
    '| key | type | default | meaning |',
    '|---|---|---|---|',
    ...fields.map(formatRow),
  ].join('\n');
}

function formatRow({ path, mode, type, default: byDefault, unit, required, description }: Field): string {
  const key = `\`${path}\`${mode === undefined ? '' : ` (${mode})`}`;
  const shown = byDefault === undefined ? (required ? 'required' : '') : `\`${byDefault}\``;
  const cells = [key, unit === undefined ? type : `${type} (${unit})`, shown, description];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

interface Position {
  readonly path: string;
  readonly mode?: string;
}

function* fieldsOf(node: JsonSchema, at: Position): Generator<Field> {
  for (const [key, child] of Object.entries(node.properties ?? {})) {
    const path = at.path === '' ? key : `${at.path}.${key}`;
    const required = node.required?.includes(key) ?? false;
    yield { ...at, ...describe(child), path, required, description: child.description ?? '' };
    yield* fieldsBelow(child, { ...at, path });
  }
}

function* fieldsBelow(node: JsonSchema, at: Position): Generator<Field> {
  for (const each of alternatives(node)) {
    const { mode } = each.properties ?? {};
    if (each.items) yield* fieldsBelow(each.items, { ...at, path: `${at.path}[]` });
    if (each.additionalProperties) yield* fieldsBelow(each.additionalProperties, { ...at, path: `${at.path}.<name>` });
    // Of a map that has a `mode` and no alternatives, all fields are there in each.
    yield* fieldsOf(each, mode?.const === undefined ? at : { ...at, mode: String(mode.const) });
  }
}

function describe(node: JsonSchema): Pick<Field, 'type' | 'default' | 'unit'> {
  const { default: value } = node;
  // A map's own default, `{}`, says no more than those of its fields.
  const empty = typeof value === 'object' && !Array.isArray(value) && Object.keys(Object(value)).length === 0;
  const shown = value === undefined || empty;
  const isMap = node.properties !== undefined || node.oneOf !== undefined;
  return { ...typeOf(node), ...(shown || isMap ? {} : { default: formatValue(value) }) };
}

function typeOf(node: JsonSchema): Pick<Field, 'type' | 'unit'> {
  const unit = UNITS.get(node.pattern ?? '');
  if (unit !== undefined) return unit;
  if (node.const !== undefined) return { type: `\`${String(node.const)}\`` };
  if (node.enum !== undefined) return { type: node.enum.map((value) => `\`${String(value)}\``).join(', ') };
  if (node.items !== undefined) return { type: `list of ${typeOf(node.items).type}` };
  const several = alternatives(node);
  if (several.length > 1) return { type: [...new Set(several.map((each) => typeOf(each).type))].join(', or ') };
  return { type: NAMES[node.type ?? ''] ?? 'text' };
}

const NAMES: Readonly<Record<string, string>> = lookupTable({
  object: 'map',
  integer: 'whole number',
  number: 'number',
  boolean: '`true`, `false`',
});

function formatValue(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(formatValue).join(', ')}]`;
  return String(value);
}

function sameField(one: Field, other: Field): boolean {
  const { mode: _one, ...first } = one;
  const { mode: _other, ...second } = other;
  return JSON.stringify(first) === JSON.stringify(second);
}
