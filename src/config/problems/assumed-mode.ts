// A websocket route without a `mode` that is known: which one its other keys speak of, so that what else is wrong with it is
// said in the same run. That the mode is missing, or wrong, is said in any case.

import type { ConfigPath } from '../problem.ts';
import { type JsonSchema, schemasAt } from '../schema/json-schema.ts';
import { type MapNode, nodeAt, type TreeNode } from '../yaml/tree.ts';
import { nearest } from './nearest.ts';

/** A tree in which every websocket route has a mode. */
export interface Completed {
  readonly root: MapNode;
  /** What was put in, or in the place of what stood there. */
  readonly assumed: readonly ConfigPath[];
  /** Keys of which it can't be told whether they are missing, as nothing told the mode. */
  readonly unsure: readonly ConfigPath[];
}

interface Mode {
  readonly name: string;
  readonly keys: readonly string[];
  readonly required: readonly string[];
}

interface Scored {
  readonly mode: Mode;
  readonly score: number;
}

/**
 * Gives each websocket route without a good `mode` the mode whose keys it has, so that its other problems can be told
 * as well.
 */
export function assumeModes(root: MapNode, schema: JsonSchema): Completed {
  const routes = root.entries.get('routes');
  const assumed: ConfigPath[] = [];
  const unsure: ConfigPath[] = [];
  if (routes?.node.kind !== 'list') return { root, assumed, unsure };
  const modes = schemasAt(schema, ['routes', 0, 'websocket']).flatMap(modeOf);
  const items = routes.node.items.map((route, index) => {
    const websocket = nodeAt(route, ['websocket']);
    if (websocket?.kind !== 'map' || modes.some(({ name }) => name === modeIn(websocket))) return route;
    const path = ['routes', index, 'websocket'];
    const { mode, sure } = guess(websocket, modes);
    assumed.push([...path, 'mode']);
    if (!sure) unsure.push(...mode.required.map((key) => [...path, key]));
    return withEntry(route as MapNode, 'websocket', withMode(websocket, mode.name));
  });
  const completed = assumed.length === 0 ? root : withEntry(root, 'routes', { ...routes.node, items });
  return { root: completed, assumed, unsure };
}

function modeIn(websocket: MapNode): unknown {
  const mode = nodeAt(websocket, ['mode']);
  return mode?.kind === 'scalar' ? mode.value : undefined;
}

function modeOf({ properties = {}, required = [] }: JsonSchema): Mode[] {
  const name = properties['mode']?.const;
  return typeof name === 'string' ? [{ name, keys: Object.keys(properties), required }] : [];
}

/** The mode that most of the keys belong to alone; it is not sure where as many belong to another one. */
function guess({ entries }: MapNode, modes: readonly Mode[]): { mode: Mode; sure: boolean } {
  const scored = modes.map((mode) => {
    const own = mode.keys.filter((key) => modes.every((other) => other === mode || !other.keys.includes(key)));
    return { mode, score: [...entries.keys()].filter((key) => nearest(key, own) !== undefined).length };
  });
  const [best, next] = scored.toSorted((one, other) => other.score - one.score) as [Scored, ...Scored[]];
  return { mode: best.mode, sure: best.score > (next?.score ?? 0) };
}

function withMode(websocket: MapNode, mode: string): MapNode {
  const { offset } = nodeAt(websocket, ['mode']) ?? websocket;
  return withEntry(websocket, 'mode', { kind: 'scalar', offset, value: mode, size: 1 });
}

/** The map with another node at a key. */
function withEntry(map: MapNode, key: string, node: TreeNode): MapNode {
  const keyOffset = map.entries.get(key)?.keyOffset ?? map.offset;
  return { ...map, entries: new Map([...map.entries, [key, { keyOffset, node }]]) };
}
