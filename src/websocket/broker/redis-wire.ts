// The text that nodes (gateways) and Redis exchange: the replies of scripts, and the messages of a node's channel.
// Another version of the gateway may have written it, or anybody with access to the Redis: everything from the channel
// is validated.
import * as z from 'zod';
import { isAddressEntry } from '../../config/address.ts';
import type { Revocation } from '../../sessions/revocations.ts';
import type { ConnectionDescription } from '../connections.ts';
import { isMessageId, type Member } from './broker.ts';
import type { Logged } from './redis-room.ts';

/** Milliseconds since 1970 that a Date can hold (ECMA-262 §21.4.1.1): beyond it, its text is an error. */
const time = z.number().min(0).max(8.64e15);

const connectionDescription = z.object({
  id: z.string(),
  route: z.string(),
  mode: z.enum(['splice', 'terminate']),
  client: z.string(),
  user: z.string().nullable(),
  room: z.string().nullable(),
  subprotocol: z.string().nullable(),
  openedAt: time,
  activeAt: time.nullable(),
}) satisfies z.ZodType<ConnectionDescription>;

/**
 * The result for a connection: its description; true where it was sent to or closed; null where the node does not hold
 * it.
 */
const found = z.union([connectionDescription, z.literal(true), z.null()]);
export type RemoteResult = z.output<typeof found>;

/** Strict: with a criterion left out that this version does not know, it would be about more people than were meant. */
const revocation = z
  .strictObject({
    subject: z.string().optional(),
    address: z.string().refine(isAddressEntry).optional(),
    route: z.string().optional(),
    id: z.string().optional(),
  })
  .refine((criteria) => Object.keys(criteria).length > 0) satisfies z.ZodType<Revocation>;

/** What may stand in a Close (RFC 6455 §7.4.1). */
const closeCode = z
  .int()
  .refine(
    (code) => (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999),
  );

const base64 = z.string().regex(/^[A-Za-z0-9+/]*={0,2}$/);
const act = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('describe') }),
  z.object({ kind: z.literal('send'), type: z.enum(['text', 'binary']), data: base64 }),
  z.object({ kind: z.literal('close'), code: closeCode, reason: z.string() }),
]);
/** What may be done with a connection. */
export type Act = z.output<typeof act>;

/** A command to other nodes: an act on a connection, or a revocation. */
const remoteCommand = z.union([
  act.and(z.object({ connection: z.string() })),
  z.object({ kind: z.literal('revoke'), revocation, forMs: z.number().nonnegative() }),
]);
export type RemoteCommand = z.output<typeof remoteCommand>;

/** A call to other nodes; `from` is the id of the caller. */
const remoteCall = z.object({ id: z.string(), from: z.string(), command: remoteCommand });
export type RemoteCall = z.output<typeof remoteCall>;

const messageId = z.string().refine(isMessageId);
const text = z.string();
/** What members get as it stands. */
const jsonText = z.string().refine((value) => parse(value) !== undefined);

/** What comes over a node's channel, by its first word. */
const EVENTS = {
  publish: z
    .tuple([text, messageId, messageId, text, jsonText, text])
    .transform(([room, id, previous, user, data, membership]) => {
      return { kind: 'publish' as const, room, message: { ...logged(id, user, data, membership), previous } };
    }),
  join: z
    .tuple([text, text, text])
    .transform(([room, membership, user]) => ({ kind: 'join' as const, room, membership, user })),
  leave: z
    .tuple([text, text, text])
    .transform(([room, membership, user]) => ({ kind: 'leave' as const, room, membership, user })),
  ask: z.tuple([remoteCall]).transform(([call]) => ({ kind: 'ask' as const, question: call })),
  reply: z
    .tuple([text, text, z.union([found, z.int()])])
    .transform(([id, from, answer]) => ({ kind: 'reply' as const, question: id, from, found: answer })),
};
export type Event = z.output<(typeof EVENTS)[keyof typeof EVENTS]>;

/**
 * Parses a message of the channel. `unknown`: another version of the gateway may know its kind; `malformed`: it is
 * invalid. Neither may be acted on.
 */
export function readEvent(received: string): Event | 'unknown' | 'malformed' {
  const parsed = parse(received);
  if (!Array.isArray(parsed)) return 'malformed';
  const [kind, ...rest] = parsed as unknown[];
  if (typeof kind !== 'string') return 'malformed';
  if (!Object.hasOwn(EVENTS, kind)) return 'unknown';
  const event = EVENTS[kind as keyof typeof EVENTS].safeParse(rest);
  if (event.success) return event.data;
  return kind === 'ask' ? 'unknown' : 'malformed';
}

/** Undefined: it is no JSON. */
function parse(received: string): unknown {
  try {
    return JSON.parse(received);
  } catch {
    return undefined;
  }
}

export const formatCall = (call: RemoteCall): string => JSON.stringify(['ask', call]);

export const formatReply = ({ id }: RemoteCall, from: string, found: unknown): string =>
  JSON.stringify(['reply', id, from, found]);

/** The time of a message is in its id. */
function logged(id: string, user: string, data: string, membership: string): Logged {
  return {
    id,
    at: Number(id.split('-')[0]),
    user: user === '' ? null : user,
    data,
    membership: membership === '' ? null : membership,
  };
}

type StreamEntry = readonly [id: string, fields: readonly string[]];

/** Entries of a stream, as scripts return them. */
function readEntries(entries: unknown): Logged[] {
  return (entries as readonly StreamEntry[]).map(([id, [, user = '', , data = '', , membership = '']]) =>
    logged(id, user, data, membership),
  );
}

/** A part of the messages requested; `more`: there are further ones. */
export interface HistoryPage {
  readonly messages: Logged[];
  readonly more: boolean;
}

/** What the script `last` returns. */
export function readPage(reply: unknown): HistoryPage {
  const [entries, more] = reply as [unknown, number];
  return { messages: readEntries(entries), more: more === 1 };
}

/** What the script `since` returns. */
export function readSince(reply: unknown): HistoryPage & { readonly floor: string; readonly last: string } {
  const [floor, last, ...page] = reply as [string, string, unknown, number];
  return { floor, last, ...readPage(page) };
}

/** Lua has it as the text that it was given. */
const since = z
  .string()
  .regex(/^\d{1,15}$/)
  .transform(Number);
const member = z.tuple([text, text, since]);

/** Members by membership id, out of a hash of Redis. Invalid entries are left out. */
export function readMembers(reply: unknown): Map<string, Member> {
  const flat = reply as readonly string[];
  const members = new Map<string, Member>();
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const read = member.safeParse(parse(flat[i + 1] as string));
    if (!read.success) continue;
    const [user, connection, since] = read.data;
    members.set(flat[i] as string, { user, connection, since });
  }
  return members;
}

/** The prefix of all keys and channels: channels are shared by all databases, so it holds the number of ours. */
export function prefixOf(url: string): string {
  const database = new URL(url).pathname.replace(/^\//, '');
  return `upgate:${/^\d+$/.test(database) ? database : '0'}:`;
}
