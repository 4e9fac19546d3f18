// The config file as a tree that remembers where each key and value stands, free of the YAML library: positions are
// offsets into the text. document.ts builds it; what is right or wrong in it is judged elsewhere.
import type { ConfigPath } from '../problem.ts';

export type Scalar = string | number | boolean | null;

/** Where a value stands, and how much of the tree it is with all aliases unfolded. */
interface NodePosition {
  readonly offset: number;
  readonly size: number;
}

export interface ScalarNode extends NodePosition {
  readonly kind: 'scalar';
  readonly value: Scalar;
  /** The text as it stands in the file, where part of the value came from the environment. */
  readonly written?: string;
}

export interface ListNode extends NodePosition {
  readonly kind: 'list';
  readonly items: readonly TreeNode[];
}

export interface MapNode extends NodePosition {
  readonly kind: 'map';
  readonly entries: ReadonlyMap<string, TreeEntry>;
}

/** One key of a map with its value. */
export interface TreeEntry {
  readonly keyOffset: number;
  readonly node: TreeNode;
}

export type TreeNode = ScalarNode | ListNode | MapNode;

/** The node at the path; undefined where the file has none. */
export function nodeAt(root: TreeNode, path: ConfigPath): TreeNode | undefined {
  let node: TreeNode | undefined = root;
  for (const step of path) node = node && childOf(node, step)?.node;
  return node;
}

/**
 * The offset of the deepest existing node along the path: of the value it leads to, or of the map that lacks the rest.
 * With `at` `key` it is the key.
 */
export function offsetAt(root: TreeNode, path: ConfigPath, at?: 'key'): number {
  let node = root;
  for (const [index, step] of path.entries()) {
    const child = childOf(node, step);
    if (child === undefined) return node.offset;
    if (index === path.length - 1 && at === 'key') return child.keyOffset;
    node = child.node;
  }
  return node.offset;
}

/** The plain value, with the entries left out whose path `leaveOut` names. */
export function plainValue(node: TreeNode, leaveOut: (path: ConfigPath) => boolean, path: ConfigPath = []): unknown {
  switch (node.kind) {
    case 'scalar':
      return node.value;
    case 'list': {
      const items = node.items.map((item, index) => ({ item, path: [...path, index] }));
      return items.filter((at) => !leaveOut(at.path)).map((at) => plainValue(at.item, leaveOut, at.path));
    }
    case 'map': {
      const entries = [...node.entries].map(([key, entry]) => ({ key, node: entry.node, path: [...path, key] }));
      const kept = entries.filter((at) => !leaveOut(at.path));
      return Object.fromEntries(kept.map((at) => [at.key, plainValue(at.node, leaveOut, at.path)]));
    }
  }
}

function childOf(node: TreeNode, step: string | number): TreeEntry | undefined {
  if (node.kind === 'map') return node.entries.get(String(step));
  const item = node.kind === 'list' && typeof step === 'number' ? node.items[step] : undefined;
  return item && { keyOffset: item.offset, node: item };
}
