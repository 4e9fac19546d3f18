// What a node stores in Redis and reads from it, typed: one method for each script of redis-scripts.ts that concerns
// rooms. Each rejects with a BrokerError as RedisLink.run does.
import { Semaphore } from '../../base/semaphore.ts';
import { compareIds, type Member, type Membership, type RoomLimits, type RoomSummary, type Stamp } from './broker.ts';
import type { RedisLink } from './redis-link.ts';
import type { Behind, Logged } from './redis-room.ts';
import { readMembers, readPage, readSince } from './redis-wire.ts';

/** Members whose histories are read at a time. */
const MAX_READERS = 8;

/** A membership, and what Redis stores of it. */
export interface MembershipRecord {
  /** Id of the membership, unique over all nodes. */
  readonly id: string;
  readonly membership: Membership;
  readonly retention: { readonly count: number; readonly age: number };
  /** Unix time in milliseconds. */
  readonly since: number;
}

export interface JoinResult {
  /** The id of the room's last message. */
  readonly last: string;
  /** All members of the room by membership id, where they were requested. */
  readonly members: ReadonlyMap<string, Member>;
}

export class RedisStore {
  readonly #nodeId: string;
  readonly #link: RedisLink;
  readonly #readers = new Semaphore(MAX_READERS);

  constructor(nodeId: string, link: RedisLink) {
    this.#nodeId = nodeId;
    this.#link = link;
  }

  /** Adds a member; a reason where it may not join. Joining again changes nothing. */
  async join(
    entry: MembershipRecord,
    limits: RoomLimits,
    list: 'list' | '',
  ): Promise<JoinResult | 'room_full' | 'too_many_rooms'> {
    const { id, membership, retention, since } = entry;
    const reply = (await this.#link.run(
      'enter',
      ...[this.#nodeId, id, membership.room, membership.user, membership.connection, since],
      ...[limits.members ?? '', limits.roomsPerUser ?? '', retention.count, retention.age, list],
    )) as [string, string, unknown];
    const [outcome, last, members] = reply;
    if (outcome === 'room_full' || outcome === 'too_many_rooms') return outcome;
    return { last, members: readMembers(members) };
  }

  async leave({ id, membership }: MembershipRecord): Promise<void> {
    await this.#link.run('leave', this.#nodeId, id, membership.room, membership.user);
  }

  /** Publishes a message. From outside the membership is '', and so is the user where there is none. */
  async publish(room: string, message: { membership: string; user: string; data: string }): Promise<Stamp> {
    const id = (await this.#link.run('publish', room, message.membership, message.user, message.data)) as string;
    return { id, at: Number(id.split('-')[0]) };
  }

  /** The messages after an id and up to another one; `+` is the last at this moment. */
  since(room: string, after: string, until: string): Promise<Behind> {
    return this.#reading(async () => {
      const first = readSince(await this.#link.run('since', room, after, until));
      const { last, messages } = first;
      const end = until === '+' ? last : until;
      let complete = compareIds(after, first.floor) >= 0 && compareIds(after, last) <= 0;
      for (let { more } = first; more; ) {
        const from = messages.at(-1)?.id ?? after;
        const next = readSince(await this.#link.run('since', room, from, end));
        // The next message may have been trimmed meanwhile.
        complete &&= compareIds(from, next.floor) >= 0;
        messages.push(...next.messages);
        more = next.more && next.messages.length > 0;
      }
      return { messages, last, complete };
    });
  }

  /** The messages up to an id, oldest first. */
  last(room: string, until: string, count: number): Promise<Logged[]> {
    return this.#reading(async () => {
      const messages: Logged[] = [];
      for (let more = count > 0; more; ) {
        const oldest = messages.at(-1)?.id;
        const to = oldest === undefined ? until : `(${oldest}`;
        const next = readPage(await this.#link.run('last', room, to, count - messages.length));
        messages.push(...next.messages);
        more = next.more && next.messages.length > 0;
      }
      return messages.reverse();
    });
  }

  /** Reads whose replies may be as large as all that a room keeps: a bounded number at a time. */
  async #reading<T>(act: () => Promise<T>): Promise<T> {
    const release = await this.#readers.acquire(null);
    try {
      return await act();
    } finally {
      release();
    }
  }

  async members(room: string): Promise<ReadonlyMap<string, Member>> {
    return readMembers(await this.#link.run('members', room));
  }

  async rooms(): Promise<readonly RoomSummary[]> {
    const flat = (await this.#link.run('rooms')) as readonly (string | number)[];
    const rooms: RoomSummary[] = [];
    for (let i = 0; i + 1 < flat.length; i += 2) rooms.push({ room: String(flat[i]), members: Number(flat[i + 1]) });
    return rooms;
  }

  /** Sends the node's heartbeat, and removes some members of dead nodes. */
  async heartbeat(): Promise<{ readonly known: boolean; readonly more: boolean }> {
    const [known, more] = (await this.#link.run('heartbeat', this.#nodeId)) as [number, number];
    return { known: known === 1, more: more === 1 };
  }

  /** Removes the node. */
  async end(): Promise<void> {
    await this.#link.run('end', this.#nodeId);
  }
}

/** The users by membership id. */
export function usersOf(members: JoinResult['members']): ReadonlyMap<string, string> {
  return new Map([...members].map(([membership, { user }]) => [membership, user]));
}
