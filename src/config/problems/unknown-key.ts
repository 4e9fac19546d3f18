// What the writer of an unknown key most likely meant: a key of the same map by its look, another server's word for it, or
// the same key in another place. Only for hints.

import type { ConfigPath } from '../problem.ts';
import { alternatives, type JsonSchema, schemasAt } from '../schema/json-schema.ts';
import { translate } from './foreign-words.ts';
import { isSameWord, nearest } from './nearest.ts';

export interface KeyHint {
  readonly hint?: string;
  /** Where the value was meant to stand, so that nothing else complains of its absence. */
  readonly meant?: ConfigPath;
}

/** So many keys can be listed in one line. */
const MAX_LISTED = 14;

/** `mode` is what `websocket.mode` says in the file, by which its alternatives are told apart. */
export function explainKey(schema: JsonSchema, path: ConfigPath, mode: unknown): KeyHint {
  const key = String(path.at(-1));
  const parentPath = path.slice(0, -1);
  if (key === '<<') return { hint: 'merge keys are not part of YAML 1.2; an alias can stand for a whole value' };

  const parents = schemasAt(schema, parentPath);
  const chosen = parents.filter((parent) => (modeOf(parent) ?? mode) === mode);
  const known = keysOf(chosen.length > 0 ? chosen : parents);
  const other = parents.find((parent) => !chosen.includes(parent) && Object.hasOwn(parent.properties ?? {}, key));
  if (other !== undefined) return { hint: `"${key}" goes with mode: ${String(modeOf(other))}` };

  const glued = /^([^:]+):\S/.exec(key)?.[1];
  if (glued !== undefined && known.includes(glued))
    return { hint: `a ":" needs a space behind it: ${glued}: …`, meant: [...parentPath, glued] };
  const { hint, meant } = translate(key, parentPath) ?? {};
  if (hint !== undefined) return { hint, ...(meant && { meant: [...parentPath, meant] }) };

  const similar = nearest(key, known);
  if (similar !== undefined) return { hint: `did you mean "${similar}"?`, meant: [...parentPath, similar] };
  return nearby(schema, path, known) ?? listed(known);
}

/** The key in a map one level below or above. */
function nearby(schema: JsonSchema, path: ConfigPath, known: readonly string[]): KeyHint | undefined {
  const key = String(path.at(-1));
  const parentPath = path.slice(0, -1);
  for (const child of known) {
    const below = keysOf(schemasAt(schema, [...parentPath, child])).find((each) => isSameWord(each, key));
    if (below !== undefined) {
      return { hint: `did you mean "${below}" under "${child}"?`, meant: [...parentPath, child, below] };
    }
  }
  const above = keysOf(schemasAt(schema, parentPath.slice(0, -1)));
  if (parentPath.length === 0 || !above.includes(key)) return undefined;
  return { hint: `"${key}" belongs one level up, beside "${parentPath.at(-1)}"` };
}

/** For a value that stands where a map must: the keys that the map may have. */
export function keysHint(schema: JsonSchema, path: ConfigPath): string | undefined {
  const { hint } = listed(keysOf(schemasAt(schema, path)));
  return hint;
}

function modeOf(node: JsonSchema): unknown {
  const { mode } = node.properties ?? {};
  return mode?.const;
}

function listed(known: readonly string[]): KeyHint {
  return known.length === 0 || known.length > MAX_LISTED ? {} : { hint: `known here: ${known.join(', ')}` };
}

function keysOf(nodes: readonly JsonSchema[]): readonly string[] {
  return [...new Set(nodes.flatMap(alternatives).flatMap((node) => Object.keys(node.properties ?? {})))];
}
