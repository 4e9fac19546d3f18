// The rooms of one node (a gateway that shares a Redis with others) and its memberships in them: what stands in this
// process. What stands in Redis is redis-store.ts; keeping both the same is redis.ts.
import type { Sample } from '../../events.ts';
import type { Membership, RoomRules } from './broker.ts';
import { type AskLog, RedisRoom } from './redis-room.ts';
import type { MembershipRecord } from './redis-store.ts';
import type { Event } from './redis-wire.ts';

/** A membership of this node. */
export interface LocalMembership extends MembershipRecord {
  readonly room: RedisRoom;
}

export class RedisMemberships {
  readonly #nodeId: string;
  readonly #askLog: AskLog;
  readonly #onError: (error: unknown) => void;
  readonly #rooms = new Map<string, RedisRoom>();
  readonly #memberships = new Map<string, LocalMembership>();
  #nextId = 0;
  /** Messages that members got in rooms that are no longer there. */
  #delivered = 0;

  /** `onError` gets what fails when a room asks for its log. */
  constructor(nodeId: string, askLog: AskLog, onError: (error: unknown) => void) {
    this.#nodeId = nodeId;
    this.#askLog = askLog;
    this.#onError = onError;
  }

  /** All memberships, and all rooms that have one. */
  get all(): readonly LocalMembership[] {
    return [...this.#memberships.values()];
  }

  get rooms(): readonly RedisRoom[] {
    return [...this.#rooms.values()];
  }

  /** Makes a membership that gets no message yet: add() or forget() follows. */
  create(membership: Membership, { retention }: RoomRules): LocalMembership {
    const room = this.#rooms.get(membership.room) ?? new RedisRoom(membership.room, this.#askLog, this.#onError);
    this.#rooms.set(membership.room, room);
    const id = `${this.#nodeId}.${this.#nextId++}`;
    room.memberships.set(id, membership);
    return { id, membership, room, retention, since: Date.now() };
  }

  /** The member is in the room from here on. */
  add(local: LocalMembership): void {
    const { id, membership, room } = local;
    this.#memberships.set(id, local);
    room.addMember(id, membership.user);
    room.local.take(membership);
  }

  /** Takes a member out of its room; false where it is out already. */
  remove(local: LocalMembership): boolean {
    const { id, membership, room } = local;
    if (!this.#memberships.delete(id)) return false;
    room.local.leave(membership);
    room.exit(id);
    this.forget(local);
    return true;
  }

  /** Lets go of a membership, and of its room where it was the last one. */
  forget({ id, room }: LocalMembership): void {
    room.memberships.delete(id);
    if (room.memberships.size > 0) return;
    this.#delivered += room.local.delivered;
    this.#rooms.delete(room.local.name);
  }

  /** What another node, or this one, did in Redis. */
  onEvent(event: Event & { readonly kind: 'publish' | 'join' | 'leave' }): void {
    const room = this.#rooms.get(event.room);
    if (event.kind === 'publish') room?.onMessage(event.message);
    else if (event.kind === 'join') room?.addMember(event.membership, event.user);
    // A late event about a membership of this node is outdated: the member has joined again since.
    else if (!this.#memberships.has(event.membership)) room?.exit(event.membership);
  }

  *sample(): Iterable<Sample> {
    let delivered = this.#delivered;
    for (const room of this.#rooms.values()) delivered += room.local.delivered;
    yield { metric: 'rooms', labels: {}, value: this.#rooms.size };
    yield { metric: 'room_members', labels: {}, value: this.#memberships.size };
    yield { metric: 'room_deliveries_total', labels: {}, value: delivered };
  }
}
