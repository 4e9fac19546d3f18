// Where each value of the config file stands, for those who ask where a value in force came from.
import type { ConfigPath } from '../problem.ts';
import type { TreeNode } from './tree.ts';

export interface ValuePosition {
  readonly line: number;
  readonly column: number;
  /** The text as it stands in the file, where part of the value came from the environment. */
  readonly written?: string;
}

/** By path, as formatPath() writes it: the scalars of the file. */
export type Positions = ReadonlyMap<string, ValuePosition>;

/** More than any config that is written by hand; of values beyond, no position is kept. */
const MOST = 20_000;

/** `routes[0].match.path`. */
export function formatPath(path: ConfigPath): string {
  return path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`))
    .join('')
    .replace(/^\./, '');
}

/** The positions of all values of a file, up to a bound; `at` gives the line and column of an offset. */
export function positionsOf(root: TreeNode, at: (offset: number) => { line: number; column: number }): Positions {
  const found = new Map<string, ValuePosition>();
  const walk = (node: TreeNode, path: ConfigPath): void => {
    if (found.size >= MOST) return;
    if (node.kind === 'list') for (const [index, item] of node.items.entries()) walk(item, [...path, index]);
    else if (node.kind === 'map') for (const [key, entry] of node.entries) walk(entry.node, [...path, key]);
    else {
      const { line, column } = at(node.offset);
      found.set(formatPath(path), { line, column, ...(node.written === undefined ? {} : { written: node.written }) });
    }
  };
  walk(root, []);
  return found;
}
