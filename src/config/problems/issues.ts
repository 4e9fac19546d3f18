// What the schema found wrong, in words an operator can act on. Values are shown by showValue alone, so that no secret
// gets into a message.

import { lookupTable } from '../../base/lookup-table.ts';
import type { ConfigPath, Problem } from '../problem.ts';
import { descriptionAt, isRequired, type JsonSchema, schemasAt } from '../schema/json-schema.ts';
import type { SchemaIssue, UnwordedIssue } from '../schema/schema.ts';
import { showValue } from '../yaml/document.ts';
import { type MapNode, nodeAt, type Scalar, type TreeNode } from '../yaml/tree.ts';
import { nearest } from './nearest.ts';
import { slipHint } from './slips.ts';
import { explainKey, keysHint } from './unknown-key.ts';

/** A problem, and for an unknown key where its value was meant to stand. */
export interface Explained {
  readonly problem: Problem;
  readonly meant?: ConfigPath;
}

const NOUNS: Readonly<Record<string, string>> = lookupTable({
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map',
  record: 'a map',
});

const MISSING = 'missing';
const UNQUOTE = 'take the quotes away';

/** The error map handed to zod: the words for whatever has no message of its own in schema.ts. */
export function wordIssue(issue: UnwordedIssue): string | undefined {
  switch (issue.code) {
    case 'unrecognized_keys':
      return 'unknown key';
    case 'too_small':
      return issue.origin === 'number' ? `must be at least ${issue.minimum}` : 'must not be empty';
    case 'too_big':
      return `must be at most ${issue.maximum}`;
    case 'invalid_key':
      return issue.issues[0]?.message;
    case 'invalid_type':
    case 'invalid_value':
    case 'invalid_union':
      return `must be ${expected(issue as SchemaIssue)}`;
    default:
      return undefined;
  }
}

const BEYOND: ReadonlySet<string> = new Set(['custom', 'unrecognized_keys']);

/** An issue of a union as the issues of the alternative that was meant, where that can be told. */
export function unfoldIssue(issue: SchemaIssue): readonly SchemaIssue[] {
  if (issue.code !== 'invalid_union') return [issue];
  // An alternative that only complains of something deeper inside, or of more than the type, has the right shape.
  const meant = issue.errors.find((branch) => branch.every((inner) => inner.path.length > 0 || BEYOND.has(inner.code)));
  if (meant === undefined) return [issue];
  return meant.flatMap((inner) => unfoldIssue({ ...inner, path: [...issue.path, ...inner.path] }));
}

/** The paths of an issue as the config has them: one for each unknown key, else one. */
export function pathsOf(issue: SchemaIssue): readonly ConfigPath[] {
  const path = issue.path.filter((step) => typeof step !== 'symbol');
  return issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...path, key]) : [path];
}

/** Puts every issue into words; one problem for each, and for each unknown key. */
export function explainIssues(issues: readonly SchemaIssue[], context: Context): readonly Explained[] {
  const all = issues.flatMap((issue) => pathsOf(issue).map((path) => explain(issue, path, context)));
  // What stands there under a mistyped key is not missing.
  const meant = new Set(all.map((each) => JSON.stringify(each.meant)));
  return all.filter(({ problem }) => problem.message !== MISSING || !meant.has(JSON.stringify(problem.path)));
}

/** What the issues are about. */
export interface Context {
  readonly schema: JsonSchema;
  readonly root: MapNode;
}

function explain(issue: SchemaIssue, path: ConfigPath, context: Context): Explained {
  const { schema, root } = context;
  const problem = { severity: 'error', path, message: issue.message } as const;
  if (issue.code === 'unrecognized_keys') return explainUnknown(problem, context);
  if (issue.code === 'invalid_key') return { problem: { ...problem, at: 'key' } };

  const node = nodeAt(root, path);
  if (node === undefined) {
    const options = optionsOf(issue);
    const hint = options.length > 0 ? `one of ${orList(options)}` : descriptionAt(schema, path);
    return { problem: { ...problem, message: MISSING, ...(hint && { hint }) } };
  }
  if (node.kind === 'scalar' && node.value === null) {
    const empty = node.written === undefined ? 'it' : `the value of ${node.written} is empty; it`;
    const hint = `${empty} ${issue.message}${isRequired(schema, path) ? '' : ', or take the key out'}`;
    return { problem: { ...problem, message: 'no value', hint } };
  }
  const hint = slipHint(path, node, schemasAt(schema, path)) ?? hintFor(issue, node) ?? mapHint(issue, path, context);
  const message = saysAll(issue) ? issue.message : `${issue.message}, got ${showValue(root, path)}`;
  return { problem: { ...problem, message, ...(hint && { hint }) } };
}

function explainUnknown(problem: Problem, { schema, root }: Context): Explained {
  const { path } = problem;
  const mode = nodeAt(root, [...path.slice(0, -1), 'mode']);
  const { hint, meant } = explainKey(schema, path, mode?.kind === 'scalar' ? mode.value : undefined);
  // Where the right key stands beside the wrong one, nothing is lost.
  const lost = meant !== undefined && nodeAt(root, meant) === undefined;
  return { problem: { ...problem, at: 'key', ...(hint && { hint }) }, ...(lost && { meant }) };
}

/** Whether the value need not be shown, or must not, as it may hold a secret. */
function saysAll(issue: SchemaIssue): boolean {
  return issue.message === 'must not be empty' || (issue.code === 'custom' && issue.params?.['secret'] === true);
}

function hintFor(issue: SchemaIssue, node: TreeNode): string | undefined {
  const value = node.kind === 'scalar' ? node.value : undefined;
  const { hint } = issue.code === 'custom' ? (issue.params ?? {}) : {};
  switch (issue.code) {
    case 'custom':
      return typeof hint === 'string' ? hint : undefined;
    case 'invalid_type':
      return typeHint(issue, value);
    case 'invalid_value':
    case 'invalid_union': {
      if (issue.code === 'invalid_value' && issue.values.some((each) => value === String(each))) return UNQUOTE;
      const similar = typeof value === 'string' ? nearest(value, optionsOf(issue)) : undefined;
      if (similar !== undefined) return `did you mean "${similar}"?`;
      const listAllowed = issue.code === 'invalid_union' && issue.errors.flat().some(expectsList);
      return listAllowed && value !== undefined ? 'put it in [ ]' : undefined;
    }
    default:
      return undefined;
  }
}

/** The slip behind a value of the wrong type: mostly quotes where YAML wants none, and the reverse. */
function typeHint(issue: SchemaIssue & { code: 'invalid_type' }, value: Scalar | undefined): string | undefined {
  const hints: Readonly<Record<string, readonly [boolean, string]>> = {
    string: [issue.message === 'must be text', 'put it in quotes'],
    number: [/^-?\d+$/.test(String(value)), UNQUOTE],
    boolean: [/^(?:yes|no|on|off|true|false)$/i.test(String(value)), 'write true or false, without quotes'],
    array: [true, 'put it in [ ]'],
  };
  const [fits, hint] = hints[issue.expected] ?? [false, ''];
  return fits && value !== undefined ? hint : undefined;
}

function mapHint(issue: SchemaIssue, path: ConfigPath, { schema }: Context): string | undefined {
  return issue.code === 'invalid_type' && issue.expected === 'object' ? keysHint(schema, path) : undefined;
}

function expectsList(issue: SchemaIssue): boolean {
  return issue.code === 'invalid_type' && issue.expected === 'array' && issue.path.length === 0;
}

/** The words that could stand in the place of the value. */
function optionsOf(issue: SchemaIssue): readonly string[] {
  if (issue.code === 'invalid_value') return issue.values.map(String);
  if (issue.code !== 'invalid_union') return [];
  const named = 'options' in issue ? issue.options : undefined;
  return named === undefined ? issue.errors.flat().flatMap(optionsOf) : named.map(String);
}

function expected(issue: SchemaIssue): string {
  if (issue.code === 'invalid_type') return NOUNS[issue.expected] ?? issue.expected;
  const options = optionsOf(issue);
  if (issue.code !== 'invalid_union' || issue.discriminator !== undefined) return orList(options);
  const others = issue.errors.flat().filter((inner) => inner.code === 'invalid_type');
  return orList([...options, ...others.map(expected)]);
}

function orList(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}
