// The text of the config to a tree of values with their places: aliases unfolded, `${VAR}` replaced, duplicate keys
// found. Knows nothing of which keys there are.
import { isAlias, isMap, isScalar, isSeq, type ParsedNode, type Scalar as ScalarSource, type Schema } from 'yaml';
import type { ConfigPath, LocatedProblem, Problem } from '../problem.ts';
import { aliasHint } from '../problems/slips.ts';
import { type Env, substitute } from './env.ts';
import { type Positions, positionsOf } from './positions.ts';
import { type MapNode, nodeAt, offsetAt, type Scalar, type ScalarNode, type TreeNode } from './tree.ts';
import { BARE_STAR, readYaml, type TextFault, type YamlText } from './yaml-text.ts';

export interface ConfigDocument {
  /** The map at the root; null where the text is no YAML, or no map. */
  readonly root: MapNode | null;
  readonly problems: readonly LocatedProblem[];
  /** Values that a problem above has spoiled: what they are is not known. */
  readonly spoiled: readonly ConfigPath[];
  /** Where its scalars stand. */
  readonly positions: Positions;
  /** Gives a problem its place, and takes out of its words what came from the environment. */
  locate(problem: Problem): LocatedProblem;
}

/** More values than this by aliases alone is no config, but the "billion laughs". */
const MAX_ALIASED = 10_000;

/** Values shorter than this are hidden only where they stand in quotes: `80` is found in too many words. */
const SHORTEST_SECRET = 6;

/** Reads the text; never throws. */
export function readDocument(text: string, file: string, env: Env): ConfigDocument {
  const yaml = readYaml(text);
  const builder = new TreeBuilder(yaml, env);
  const contents = yaml.document?.contents ?? null;
  const tree = contents === null ? null : builder.build(contents, []);
  const root = tree?.kind === 'map' ? tree : null;

  const at = (offset: number) => ({ file, ...yaml.position(offset) });
  const locate = (problem: Problem): LocatedProblem => {
    const shown = { ...problem, message: hide(problem.message, builder.secrets) };
    const hint = problem.hint === undefined ? {} : { hint: hide(problem.hint, builder.secrets) };
    return { ...shown, ...hint, ...at(root === null ? 0 : offsetAt(root, problem.path, problem.at)) };
  };
  const problems = [
    ...yaml.faults.map(({ offset, ...fault }) => ({ ...fault, path: [], ...at(offset) })),
    ...builder.faults.map(({ offset, ...fault }) => ({ ...fault, ...at(offset) })),
  ];
  if (root === null && yaml.faults.every((fault) => fault.severity === 'warning')) {
    const empty = tree === null || (tree.kind === 'scalar' && tree.value === null);
    const kind = tree?.kind === 'list' ? 'a list' : 'a single value';
    const message = empty ? 'the file is empty' : `the file must be a map of keys, not ${kind}`;
    const hint = 'it needs at least "listeners" and "routes"';
    problems.push({ severity: 'error', path: [], message, hint, ...at(tree?.offset ?? 0) });
  }
  const positions = root === null ? new Map() : positionsOf(root, (offset) => yaml.position(offset));
  return { root, problems, spoiled: builder.spoiled, positions, locate };
}

/** What a value is called in a message: the value itself, unless it is a secret. */
export function showValue(root: TreeNode, path: ConfigPath): string {
  const node = nodeAt(root, path);
  if (node === undefined) return 'nothing';
  if (node.kind !== 'scalar') return `a ${node.kind}`;
  if (SECRET_KEY.test(path.findLast((step) => typeof step === 'string') ?? '')) return 'a value not shown here';
  if (node.written !== undefined) return `the value of ${shorten(maskUser(node.written))}`;
  return typeof node.value === 'string' ? shorten(JSON.stringify(maskUser(node.value))) : String(node.value);
}

/** Keys whose values are not to be shown, own ones and the names of header fields and query parameters alike. */
export const SECRET_KEY = /(?:^|[_-])(?:secret|password|passwd|token|key|credentials?|authorization|cookie)s?$/i;

function maskUser(value: string): string {
  return value.replace(/\/\/[^/?#]*@/, '//***@');
}

function shorten(text: string): string {
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** A message without the values that came from the environment; each is replaced by its reference. */
function hide(text: string, secrets: ReadonlyMap<string, string>): string {
  let shown = text;
  // Longest first, so that no end of it stays where a shorter one is its beginning.
  for (const [secret, written] of [...secrets].sort(([one], [other]) => other.length - one.length)) {
    shown = shown.replaceAll(JSON.stringify(secret), () => `the value of ${written}`);
    if (secret.length >= SHORTEST_SECRET) shown = shown.replaceAll(secret, () => `the value of ${written}`);
  }
  return shown;
}

interface TreeFault extends TextFault {
  readonly path: ConfigPath;
}

class TreeBuilder {
  readonly faults: TreeFault[] = [];
  readonly spoiled: ConfigPath[] = [];
  /** What came from the environment, and the reference it came by. */
  readonly secrets = new Map<string, string>();
  readonly #yaml: YamlText;
  readonly #env: Env;
  /** Null while the anchor's own node is being built. */
  readonly #anchors = new Map<string, TreeNode | null>();
  #aliased = 0;

  constructor(yaml: YamlText, env: Env) {
    this.#yaml = yaml;
    this.#env = env;
  }

  build(source: ParsedNode, path: ConfigPath): TreeNode {
    if (isAlias(source)) return this.#alias(source.source, source.range[0], path);
    const anchor = source.anchor;
    if (anchor !== undefined) this.#anchors.set(anchor, null);
    const node = this.#node(source, path);
    if (anchor !== undefined) this.#anchors.set(anchor, node);
    return node;
  }

  #node(source: ParsedNode, path: ConfigPath): TreeNode {
    const offset = source.range[0];
    if (isSeq(source)) {
      const items = source.items.map((item, index) => this.build(item as ParsedNode, [...path, index]));
      return { kind: 'list', offset, items, size: sizeOf(items) };
    }
    if (isMap(source)) return this.#map(source.items as { key: ParsedNode; value: ParsedNode | null }[], offset, path);
    return this.#scalar(source as ScalarSource.Parsed, path);
  }

  #map(pairs: readonly { key: ParsedNode; value: ParsedNode | null }[], offset: number, path: ConfigPath): MapNode {
    const entries = new Map<string, { keyOffset: number; node: TreeNode }>();
    for (const { key: keySource, value } of pairs) {
      const keyOffset = keySource.range[0];
      const key = isScalar(keySource) ? String(keySource.value) : '';
      const keyPath = [...path, key];
      const first = entries.get(key);
      if (first !== undefined) {
        const { line } = this.#yaml.position(first.keyOffset);
        this.#fault(keyOffset, keyPath, 'duplicate key', `line ${line} has it already`);
        continue;
      }
      // Assigned to a plain object, it would set the prototype instead of a key.
      if (key === '__proto__') {
        this.#fault(keyOffset, keyPath, 'this key is not allowed');
        continue;
      }
      // What is wrong with a key that has nothing behind its colon is best shown at the key.
      const nothing: ScalarNode = { kind: 'scalar', offset: keyOffset, value: null, size: 1 };
      const empty = value === null || (isScalar(value) && value.value === null && value.source === '');
      entries.set(key, { keyOffset, node: empty ? nothing : this.build(value, keyPath) });
    }
    return { kind: 'map', offset, entries, size: sizeOf([...entries.values()].map((entry) => entry.node)) };
  }

  #scalar(source: ScalarSource.Parsed, path: ConfigPath): ScalarNode {
    const offset = source.range[0];
    const value = source.value as Scalar;
    if (typeof value !== 'string' || !value.includes('${')) return { kind: 'scalar', offset, value, size: 1 };
    const { text, replaced, secrets, faults } = substitute(value, this.#env);
    for (const fault of faults) this.#fault(offset, path, fault.message, fault.hint);
    if (faults.length > 0) this.spoiled.push(path);
    for (const secret of [text, ...secrets])
      if (secrets.length > 0 && secret !== '') this.secrets.set(secret, maskUser(value));
    const resolved = replaced && source.type === 'PLAIN' && source.tag === undefined ? this.#resolve(text) : text;
    const written = secrets.length > 0 ? { written: value } : {};
    return { kind: 'scalar', offset, value: resolved, size: 1, ...written };
  }

  /** What an unquoted text means by the core schema: `80` a number, `true` a boolean, nothing null. */
  #resolve(text: string): Scalar {
    const schema: Schema | undefined = this.#yaml.document?.schema;
    for (const tag of schema?.tags ?? []) {
      if (tag.collection !== undefined || tag.default !== true || tag.test?.test(text) !== true) continue;
      const resolved = tag.resolve(text, () => undefined, {});
      return (isScalar(resolved) ? resolved.value : resolved) as Scalar;
    }
    return text;
  }

  #alias(name: string, offset: number, path: ConfigPath): TreeNode {
    const node = this.#anchors.get(name);
    this.#aliased += node?.size ?? 0;
    if (node && this.#aliased <= MAX_ALIASED) return { ...node, offset };
    if (node === undefined) {
      const message = name === '' ? BARE_STAR : 'an alias without its anchor';
      this.#fault(offset, path, message, aliasHint(path, name));
    } else if (node === null) {
      this.#fault(offset, path, 'an alias inside of what it stands for');
    } else {
      this.#fault(offset, path, `aliases stand for more than ${MAX_ALIASED} values`);
    }
    this.spoiled.push(path);
    return { kind: 'scalar', offset, value: null, size: 1 };
  }

  #fault(offset: number, path: ConfigPath, message: string, hint?: string): void {
    this.faults.push({ severity: 'error', offset, path, message, ...(hint === undefined ? {} : { hint }) });
  }
}

function sizeOf(children: readonly TreeNode[]): number {
  return children.reduce((sum, child) => sum + child.size, 1);
}
