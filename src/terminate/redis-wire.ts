// What goes between gateways and Redis as text: what scripts give, and what comes over a gateway's channel. Every value is
// written by a gateway or by one of our scripts.
import type { Revocation } from '../sessions/revocations.ts';
import type { Member } from './broker.ts';
import type { Behind, Heard, Logged } from './redis-room.ts';

/** What may be done with a connection. */
export type Act =
  | { readonly kind: 'describe' }
  | { readonly kind: 'send'; readonly type: 'text' | 'binary'; readonly data: string }
  | { readonly kind: 'close'; readonly code: number; readonly reason: string };

/** What a gateway wants of the others: something done with a connection, or access taken back. */
export type Errand =
  | (Act & { readonly connection: string })
  | { readonly kind: 'revoke'; readonly revocation: Revocation; readonly forMs: number };

/** What a gateway asks the others. */
export interface Question {
  readonly id: string;
  /** The gateway that asks. */
  readonly from: string;
  readonly errand: Errand;
}

export type Event =
  | { readonly kind: 'say'; readonly room: string; readonly message: Heard }
  | { readonly kind: 'join' | 'leave'; readonly room: string; readonly seat: string; readonly user: string }
  | { readonly kind: 'ask'; readonly question: Question }
  | { readonly kind: 'reply'; readonly question: string; readonly from: string; readonly found: unknown };

/** Reads what came over the channel. */
export function readEvent(text: string): Event {
  const [kind, ...rest] = JSON.parse(text) as [string, ...string[]];
  const [room = '', one = '', two = '', three = '', four = '', five = ''] = rest;
  switch (kind) {
    case 'say':
      return { kind, room, message: { ...logged(one, three, four, five), previous: two } };
    case 'join':
    case 'leave':
      return { kind, room, seat: one, user: two };
    case 'ask':
      return { kind, question: rest[0] as unknown as Question };
    default:
      return { kind: 'reply', question: room, from: one, found: rest[2] };
  }
}

export const formatQuestion = (question: Question): string => JSON.stringify(['ask', question]);

export const formatReply = ({ id }: Question, from: string, found: unknown): string =>
  JSON.stringify(['reply', id, from, found]);

/** The time of a message is in its id. */
function logged(id: string, user: string, data: string, seat: string): Logged {
  return { id, at: Number(id.split('-')[0]), user: user === '' ? null : user, data, seat: seat === '' ? null : seat };
}

type Entry = readonly [id: string, fields: readonly string[]];

/** Entries of a stream, as scripts give them. */
export function readEntries(entries: unknown): Logged[] {
  return (entries as readonly Entry[]).map(([id, [, user = '', , data = '', , seat = '']]) =>
    logged(id, user, data, seat),
  );
}

/** What the script `since` gives. */
export function readBehind(reply: unknown): { readonly floor: string } & Omit<Behind, 'complete'> {
  const [floor, last, entries] = reply as [string, string, unknown];
  return { floor, last, messages: readEntries(entries) };
}

/** Members by seat, out of a hash of Redis. */
export function readMembers(reply: unknown): Map<string, Member> {
  const flat = reply as readonly string[];
  const members = new Map<string, Member>();
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const [user, connection, since] = JSON.parse(flat[i + 1] as string) as [string, string, string];
    members.set(flat[i] as string, { user, connection, since: Number(since) });
  }
  return members;
}

/** The prefix of all keys and channels: channels know no databases, so it holds the number of ours. */
export function prefixOf(url: string): string {
  const database = new URL(url).pathname.replace(/^\//, '');
  return `upgate:${/^\d+$/.test(database) ? database : '0'}:`;
}
