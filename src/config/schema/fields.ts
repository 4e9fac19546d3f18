// Every field of gateway.yaml as a flat list, and the table of them in docs/configuration.md. Derived from the schema.

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

/** The table of all fields in Markdown. */
export function formatFieldTable(fields: readonly Field[]): string {
  const rows = fields.map(({ path, mode, type, default: byDefault, unit, required, description }) => {
    const key = `\`${path}\`${mode === undefined ? '' : ` (${mode})`}`;
    const shown = byDefault === undefined ? (required ? 'required' : '') : `\`${byDefault}\``;
    const cells = [key, unit === undefined ? type : `${type} (${unit})`, shown, description];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  });
  return ['| key | type | default | meaning |', '|---|---|---|---|', ...rows].join('\n');
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
