// What is left of a broken config when its broken values are taken out, so that one run can also find what is wrong
// between the fields that are sound. Each value is taken out as small as it goes: itself where it is optional, else what
// needs it.

import type { ConfigPath } from '../problem.ts';
import { type Config, relaxedSchema } from '../schema/schema.ts';
import { type MapNode, nodeAt, plainValue, type TreeNode } from '../yaml/tree.ts';
import { pathsOf, unfoldIssue } from './issues.ts';

/** How the config relates to its file: what the file says, and what of it the config lacks. */
export interface Written {
  /** Whether the file has the key, and not only a default. */
  has(path: ConfigPath): boolean;
  /** Whether the value was taken out as broken, or something it was part of, or stood under a mistyped key. */
  lost(path: ConfigPath): boolean;
  /** The same, or something in it was. */
  lostWithin(path: ConfigPath): boolean;
  /** The path in the file of a path in the config: a list may have lost entries before it. */
  pathInFile(path: ConfigPath): ConfigPath;
}

/** Takes out the paths given, then all that the schema does not accept, until it accepts the rest. */
export function prune(root: MapNode, broken: readonly ConfigPath[]): { config: Config | null; removed: PathSet } {
  const removed = new PathSet(broken);
  for (;;) {
    const leaveOut = (path: ConfigPath) => removed.has(path);
    const result = relaxedSchema.safeParse(plainValue(root, leaveOut));
    if (result.success) return { config: result.data, removed };
    const paths = result.error.issues.flatMap(unfoldIssue).flatMap(pathsOf);
    const inFile = fileMapping(root, removed);
    const targets = paths.map((path) => existing(root, inFile(path), removed));
    // The root itself cannot be taken out.
    if (targets.some((path) => path.length === 0)) return { config: null, removed };
    for (const path of targets) removed.add(path);
  }
}

/** The value itself where it is there, else the one that lacks it. */
function existing(root: TreeNode, path: ConfigPath, removed: PathSet): ConfigPath {
  return nodeAt(root, path) !== undefined && !removed.has(path) ? path : path.slice(0, -1);
}

/** From paths of what is left to paths of the file, for `removed` as it is now. */
function fileMapping(root: TreeNode, removed: PathSet): (path: ConfigPath) => ConfigPath {
  const keptOf = new Map<string, readonly number[]>();
  const indexInFile = (list: ConfigPath, index: number): number => {
    if (!removed.hasWithin(list)) return index;
    const id = JSON.stringify(list);
    let kept = keptOf.get(id);
    if (kept === undefined) {
      const node = nodeAt(root, list);
      kept = [...(node?.kind === 'list' ? node.items : []).keys()].filter((item) => !removed.has([...list, item]));
      keptOf.set(id, kept);
    }
    return kept[index] ?? index;
  };
  return (path) => {
    const found: (string | number)[] = [];
    for (const step of path) found.push(typeof step === 'number' ? indexInFile(found, step) : step);
    return found;
  };
}

/** The relation between a config and the file it comes from; `meant` are the places that mistyped keys were meant for. */
export function writtenOf(root: MapNode, removed: PathSet, meant: readonly ConfigPath[]): Written {
  const lost = new PathSet([...removed, ...meant]);
  const inFile = fileMapping(root, removed);
  return {
    has: (path) => nodeAt(root, inFile(path)) !== undefined,
    lost: (path) => lost.hasOrPartOf(inFile(path)),
    lostWithin: (path) => lost.hasOrPartOf(inFile(path)) || lost.hasWithin(inFile(path)),
    pathInFile: inFile,
  };
}

export class PathSet implements Iterable<ConfigPath> {
  readonly #paths = new Map<string, ConfigPath>();
  /** Every path that leads to one of the set. */
  readonly #leading = new Set<string>();

  constructor(paths: Iterable<ConfigPath> = []) {
    for (const path of paths) this.add(path);
  }

  add(path: ConfigPath): void {
    this.#paths.set(JSON.stringify(path), path);
    for (let length = 0; length < path.length; length++) this.#leading.add(JSON.stringify(path.slice(0, length)));
  }

  has(path: ConfigPath): boolean {
    return this.#paths.has(JSON.stringify(path));
  }

  /** Whether the path, or one that leads to it, is in the set. */
  hasOrPartOf(path: ConfigPath): boolean {
    return path.some((_, index) => this.has(path.slice(0, index + 1)));
  }

  /** Whether a path below this one is in the set. */
  hasWithin(path: ConfigPath): boolean {
    return this.#leading.has(JSON.stringify(path));
  }

  [Symbol.iterator](): Iterator<ConfigPath> {
    return this.#paths.values();
  }
}
