// The broker of a single gateway: rooms, their history and their members in this process's memory. A restart forgets them.
import { guarded } from '../../base/guard.ts';
import type { MemoryBudget } from '../../base/memory-budget.ts';
import type { Sample } from '../../events.ts';
import type { Revocation } from '../../sessions/revocations.ts';
import type { MessageType } from '../handler.ts';
import {
  type Broker,
  DEFAULT_RETENTION,
  type Joined,
  type Local,
  type Member,
  type Membership,
  type Post,
  type RoomRules,
  type Span,
  type Stamp,
} from './broker.ts';
import { LocalRoom } from './local-room.ts';
import { RoomLog } from './room-log.ts';
import { UserRooms } from './user-rooms.ts';

/** Rooms without members whose history is kept for those who come back. */
const MAX_EMPTY = 10_000;
/** How often history that has grown too old is trimmed. */
const SWEEP_MS = 30_000;

interface Room {
  readonly local: LocalRoom;
  readonly log: RoomLog;
  readonly members: Map<Membership, Member>;
}

export class MemoryBroker implements Broker {
  readonly name = 'memory';
  readonly #local: Local;
  readonly #rooms = new Map<string, Room>();
  /** Rooms without members, longest empty first. */
  readonly #empty = new Set<string>();
  /** Rooms that may keep messages; first the room whose last message is the oldest. */
  readonly #spoken = new Set<Room>();
  readonly #history: MemoryBudget;
  readonly #users = new UserRooms();
  #published = 0;
  /** Of rooms that were forgotten. */
  #delivered = 0;
  #members = 0;
  #sweep: NodeJS.Timeout | undefined;

  /** `history` is the budget of all rooms' messages. */
  constructor(local: Local, history: MemoryBudget) {
    this.#local = local;
    this.#history = history;
  }

  start(): void {
    this.#sweep = setInterval(
      guarded('rooms', () => this.#dropExpired()),
      SWEEP_MS,
    ).unref();
  }

  async close(): Promise<void> {
    clearInterval(this.#sweep);
  }

  degraded(): null {
    return null;
  }

  async join(
    membership: Membership,
    { retention, limits }: RoomRules,
  ): Promise<Joined | 'room_full' | 'too_many_rooms'> {
    const known = this.#rooms.get(membership.room);
    if (limits.members !== undefined && (known?.members.size ?? 0) >= limits.members) return 'room_full';
    if (!this.#users.mayJoin(membership.user, membership.room, limits.roomsPerUser)) return 'too_many_rooms';
    const room = known ?? this.#open(membership.room);
    room.log.keep(retention);
    this.#empty.delete(membership.room);
    room.members.set(membership, { user: membership.user, connection: membership.connection, since: Date.now() });
    this.#members++;
    this.#users.join(membership.user, membership.room);
    room.local.take(membership);
    room.local.notifyJoined(membership.user, membership);
    return {
      position: room.log.last,
      users: () => room.local.users(),
      publish: (data) => Promise.resolve(this.#publish(room, { user: membership.user, data }, membership)),
      leave: () => this.#leave(room, membership),
    };
  }

  async publish(name: string, post: Post): Promise<Stamp> {
    const room = this.#rooms.get(name) ?? this.#open(name);
    this.#empty.delete(name);
    const stamp = this.#publish(room, post, null);
    this.#settle(room);
    return stamp;
  }

  async read(name: string, span: Span) {
    const room = this.#rooms.get(name);
    return room ? room.log.read(span, Date.now()) : { messages: [], complete: false };
  }

  async members(name: string): Promise<readonly Member[]> {
    return [...(this.#rooms.get(name)?.members.values() ?? [])];
  }

  async rooms() {
    const live = [...this.#rooms.values()].filter(({ members }) => members.size > 0);
    return live.map(({ local, members }) => ({ room: local.name, members: members.size }));
  }

  async sendTo(id: string, type: MessageType, data: Buffer): Promise<boolean> {
    const connection = this.#local.reach(id);
    connection?.send(type, data);
    return connection !== undefined;
  }

  async describe(id: string) {
    return this.#local.reach(id)?.describe() ?? null;
  }

  async disconnect(id: string, code: number, reason: string): Promise<boolean> {
    const connection = this.#local.reach(id);
    connection?.close(code, reason);
    return connection !== undefined;
  }

  async revoke(revocation: Revocation, forMs: number): Promise<number> {
    return this.#local.revoke(revocation, forMs);
  }

  *sample(): Iterable<Sample> {
    let delivered = this.#delivered;
    for (const { local } of this.#rooms.values()) delivered += local.delivered;
    yield { metric: 'rooms', labels: {}, value: this.#rooms.size - this.#empty.size };
    yield { metric: 'room_members', labels: {}, value: this.#members };
    yield { metric: 'room_messages_total', labels: { result: 'published' }, value: this.#published };
    yield { metric: 'room_deliveries_total', labels: {}, value: delivered };
    yield { metric: 'broker_up', labels: { broker: this.name }, value: 1 };
  }

  #publish(room: Room, post: Post, from: Membership | null): Stamp {
    const message = room.log.append(post, Date.now());
    this.#published++;
    this.#spoken.delete(room);
    this.#spoken.add(room);
    this.#giveWay();
    room.local.deliver(message, from);
    return { id: message.id, at: message.at };
  }

  #leave(room: Room, membership: Membership): void {
    if (!room.members.delete(membership)) return;
    this.#members--;
    this.#users.exit(membership.user, membership.room);
    room.local.leave(membership);
    room.local.exit(membership.user);
    this.#settle(room);
  }

  #open(name: string): Room {
    const room: Room = {
      local: new LocalRoom(name),
      log: new RoomLog(DEFAULT_RETENTION, Date.now(), this.#history),
      members: new Map(),
    };
    this.#rooms.set(name, room);
    return room;
  }

  /** A room without members stands behind all that were empty before. */
  #settle({ local, members }: Room): void {
    if (members.size > 0) return;
    this.#empty.delete(local.name);
    this.#empty.add(local.name);
    for (const name of this.#empty) {
      if (this.#empty.size <= MAX_EMPTY) break;
      this.#forget(name);
    }
  }

  /**
   * Keeps all histories within their budget: rooms without members are forgotten first, the longest empty one before
   * the others; then the oldest messages are dropped, of the room whose last message is the oldest.
   */
  #giveWay(): void {
    for (const name of this.#empty) {
      if (!this.#history.exceeded) return;
      this.#forget(name);
    }
    for (const room of this.#spoken) {
      while (this.#history.exceeded && room.log.dropOldest());
      if (!this.#history.exceeded) return;
      this.#spoken.delete(room);
    }
  }

  #forget(name: string): void {
    const room = this.#rooms.get(name);
    this.#empty.delete(name);
    this.#rooms.delete(name);
    if (room === undefined) return;
    while (room.log.dropOldest());
    this.#spoken.delete(room);
    this.#delivered += room.local.delivered;
  }

  #dropExpired(): void {
    const now = Date.now();
    for (const [name, { log, members }] of this.#rooms) {
      log.trim(now);
      if (members.size === 0 && log.bytes === 0) this.#forget(name);
    }
    this.#giveWay();
  }
}
