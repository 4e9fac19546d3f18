// What needs two fields to judge of a route with the handler `rooms`: names of places that its path does not have, and what
// only a room may drop. A part of check.ts.
import type { ConfigPath, Problem } from '../problem.ts';
import type { Written } from '../problems/prune.ts';
import type { RouteConfig, TerminateConfig } from '../schema/schema.ts';
import { type Placeholder, parseTemplate } from '../yaml/template.ts';

/** The fields of a route by which room and user are found; a place is filled from path or query. */
const NAMES = ['room', 'user'] as const;
const ROOM_OF_PATH = '{room}';

/** `path` is the route's own. */
export function* checkRooms(
  { match, auth }: RouteConfig,
  websocket: TerminateConfig,
  path: ConfigPath,
  written: Written,
): Iterable<Problem> {
  const at = [...path, 'websocket'];
  const { handler, rooms, send_queue } = websocket;
  if (handler !== 'rooms') {
    if (send_queue.overflow === 'drop_oldest') {
      const hint = 'other handlers answer what a client said, and an answer must not get lost';
      yield error([...at, 'send_queue', 'overflow'], 'only the handler "rooms" may drop messages', hint);
    }
    return;
  }
  if (written.lostWithin([...path, 'match']) || written.lostWithin([...at, 'rooms'])) return;
  const parameters = commonParameters(match.path);
  const templates = { room: rooms?.room ?? ROOM_OF_PATH, user: rooms?.user ?? '' };
  for (const key of NAMES) {
    for (const name of missingPlaces(templates[key], parameters)) {
      const place = rooms === undefined ? at : [...at, 'rooms', key];
      yield error(place, `{${name}} is no part of match.path`, hintFor(templates[key], name, parameters));
    }
    const [claim] = placesOf(templates[key]).filter(({ from }) => from === 'claim');
    if (claim !== undefined && auth === undefined && !written.lostWithin([...path, 'auth'])) {
      const hint = 'give the route an auth';
      yield error([...at, 'rooms', key], `{claim.${claim.name}} is of credentials, and the route asks for none`, hint);
    }
  }
}

/** Those that every one of the paths has: whichever a request fits, it must have them. */
function commonParameters(paths: readonly string[]): string[] {
  const [first = [], ...others] = paths.map((path) =>
    [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name as string),
  );
  return first.filter((name) => others.every((names) => names.includes(name)));
}

/** Parameters that a template asks the path for, and that the path does not have. */
function missingPlaces(template: string, parameters: readonly string[]): string[] {
  return placesOf(template)
    .filter(({ from, name }) => from === 'path' && !parameters.includes(name))
    .map(({ name }) => name);
}

function placesOf(template: string): Placeholder[] {
  return (parseTemplate(template) ?? []).filter((part) => typeof part !== 'string');
}

function hintFor(template: string, name: string, parameters: readonly string[]): string {
  if (template === ROOM_OF_PATH) return 'name a room, as in rooms: { room: lobby }, or put {room} into the path';
  const has = parameters.length === 0 ? 'none' : parameters.map((parameter) => `{${parameter}}`).join(', ');
  return `match.path has ${has}; a query parameter is {query.${name}}`;
}

function error(path: ConfigPath, message: string, hint: string): Problem {
  return { severity: 'error', path, message, hint };
}
