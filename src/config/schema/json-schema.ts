// The schema as data: JSON Schema draft-7 for editors, and look-ups in it for hints. The source is schema.ts alone.
import * as z from 'zod';
import { once } from '../../base/once.ts';
import type { ConfigPath } from '../problem.ts';
import { schema } from './schema.ts';

/** The part of JSON Schema draft-7 that the config's schema is made of. */
export interface JsonSchema {
  readonly type?: string;
  readonly title?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema | false;
  readonly propertyNames?: JsonSchema;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
}

/** What may stand in the file, before editors are told of `${VAR}`. Made when it is first asked for, and once. */
export const inputSchema = once(() => z.toJSONSchema(schema, { target: 'draft-07', io: 'input' }) as JsonSchema);

/** JSON Schema draft-7 of gateway.yaml, for editors: `config/gateway.schema.json`. */
export function editorSchema(): JsonSchema {
  const { $schema, ...rest } = acceptVariables(inputSchema()) as JsonSchema & { $schema?: string };
  return { ...($schema === undefined ? {} : { $schema }), title: 'Upgate: gateway.yaml', ...rest } as JsonSchema;
}

/** The text of `config/gateway.schema.json`. */
export function formatEditorSchema(): string {
  return `${JSON.stringify(editorSchema(), null, 2)}\n`;
}

/** A reference anywhere in the text: what it will hold is not known before it is run. */
const VARIABLE: JsonSchema = { type: 'string', pattern: '\\$\\{' };

/** Lets `${VAR}` stand for each scalar that is not just any text; a `const` tells alternatives apart and stays. */
function acceptVariables(node: JsonSchema): JsonSchema {
  const inner = mapChildren(withoutSafeLimits(node), acceptVariables);
  const free = inner.type === 'string' && inner.enum === undefined && inner.pattern === undefined;
  const scalar = ['string', 'number', 'integer', 'boolean'].includes(inner.type ?? '');
  if (!scalar || free || inner.const !== undefined) return inner;
  const { description, default: byDefault, ...test } = inner;
  return {
    ...(description === undefined ? {} : { description }),
    ...(byDefault === undefined ? {} : { default: byDefault }),
    anyOf: [test, VARIABLE],
  };
}

/** zod writes the range of exact integers, which says nothing to a reader. */
function withoutSafeLimits(node: JsonSchema): JsonSchema {
  const { minimum, maximum, ...rest } = node;
  return {
    ...rest,
    ...(minimum === undefined || minimum === Number.MIN_SAFE_INTEGER ? {} : { minimum }),
    ...(maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? {} : { maximum }),
  };
}

function mapChildren(node: JsonSchema, change: (child: JsonSchema) => JsonSchema): JsonSchema {
  const { properties, additionalProperties, items, anyOf, oneOf } = node;
  const changed = Object.entries(properties ?? {}).map(([key, child]) => [key, change(child)] as const);
  return {
    ...node,
    ...(properties === undefined ? {} : { properties: Object.fromEntries(changed) }),
    ...(additionalProperties ? { additionalProperties: change(additionalProperties) } : {}),
    ...(items === undefined ? {} : { items: change(items) }),
    ...(anyOf === undefined ? {} : { anyOf: anyOf.map(change) }),
    ...(oneOf === undefined ? {} : { oneOf: oneOf.map(change) }),
  };
}

/** The alternatives a node stands for; itself where it is none. */
export function alternatives(node: JsonSchema): readonly JsonSchema[] {
  return (node.oneOf ?? node.anyOf ?? [node]).flatMap((each) => (each === node ? [node] : alternatives(each)));
}

/** All that may stand at the path, over all alternatives along it. */
export function schemasAt(root: JsonSchema, path: ConfigPath): readonly JsonSchema[] {
  let nodes = alternatives(root);
  for (const step of path) nodes = nodes.flatMap((node) => childrenAt(node, step)).flatMap(alternatives);
  return nodes;
}

/** The doc line of the field at the path, where there is one. */
export function descriptionAt(root: JsonSchema, path: ConfigPath): string | undefined {
  const parents = schemasAt(root, path.slice(0, -1));
  const last = path.at(-1);
  const nodes = last === undefined ? [] : parents.flatMap((parent) => childrenAt(parent, last));
  return nodes.find((node) => node.description !== undefined)?.description;
}

/** Whether the map that holds the last key of the path cannot be without it. */
export function isRequired(root: JsonSchema, path: ConfigPath): boolean {
  const key = String(path.at(-1));
  return schemasAt(root, path.slice(0, -1)).some((parent) => parent.required?.includes(key));
}

function childrenAt(node: JsonSchema, step: string | number): readonly JsonSchema[] {
  if (typeof step === 'number') return node.items === undefined ? [] : [node.items];
  if (node.properties !== undefined && Object.hasOwn(node.properties, step)) return [node.properties[step] ?? {}];
  return node.additionalProperties ? [node.additionalProperties] : [];
}
