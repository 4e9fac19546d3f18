// One room that several nodes (gateways) share: the memberships of this node, the users on all nodes, and the position
// in the log up to which everything was delivered. Messages come over Redis's channel and are delivered in the order of
// their ids, each once. Each carries the id of the one before; where that shows a gap, the log is read.
import { bytesOf } from '../../base/memory-budget.ts';
import { compareIds, MAX_ROOM_BYTES, type Membership, type RoomMessage, type Stamp } from './broker.ts';
import { LocalRoom } from './local-room.ts';

/** A message as the log has it: with the membership that published it, or null from outside. */
export interface Logged extends RoomMessage {
  readonly membership: string | null;
}

/** A message as it comes over the channel: with the id of the one before. */
export interface ReceivedMessage extends Logged {
  readonly previous: string;
}

/** The log behind an id. */
export interface Behind {
  readonly messages: readonly Logged[];
  readonly complete: boolean;
  /** The id of the last message of the room. */
  readonly last: string;
}

/** Reads the log. Rejects where the broker is unavailable. */
export type AskLog = (room: string, after: string) => Promise<Behind>;

/** Messages that came while the log is read, bounded. Beyond the bound they are dropped, since the log has them as well. */
class Backlog {
  readonly messages: ReceivedMessage[] = [];
  #bytes = 0;
  /** Messages were dropped. */
  full = false;

  add(message: ReceivedMessage): void {
    this.#bytes += bytesOf(message.data) + HEARD_COST;
    if (this.#bytes > MAX_ROOM_BYTES) this.full = true;
    if (this.full) this.messages.length = 0;
    else this.messages.push(message);
  }
}

/** What a message costs in memory beside its data. */
const HEARD_COST = 400;

export class RedisRoom {
  readonly local: LocalRoom;
  /** The memberships of this node, by id. */
  readonly memberships = new Map<string, Membership>();
  /** Users of all memberships, on all nodes, by the membership's id. */
  readonly #users = new Map<string, string>();
  readonly #askLog: AskLog;
  readonly #onError: (error: unknown) => void;
  #position: string | null = null;
  /** Messages that came while the log is read; null: it is not being read. */
  #waiting: Backlog | null = new Backlog();
  /** Called once a message was delivered, by its id. */
  readonly #awaiting = new Map<string, () => void>();

  /** `onError` gets the error of a read of the log that nobody awaits. */
  constructor(name: string, askLog: AskLog, onError: (error: unknown) => void) {
    this.local = new LocalRoom(name);
    this.#askLog = askLog;
    this.#onError = onError;
  }

  /** Whether messages are missing, or being read from the log. */
  get behind(): boolean {
    return this.#waiting !== null;
  }

  /** Everything up to this id was delivered; null: the log's last id is not known yet. */
  get position(): string | null {
    return this.#position;
  }

  /** Sets the position to the log's last message, and delivers what has come after it. */
  begin(last: string): void {
    if (this.#position !== null) return;
    this.#position = last;
    this.#goOn();
  }

  /** The channel was cut: what comes next may not be what comes next in the log. */
  cut(): void {
    this.#waiting ??= new Backlog();
  }

  /** Delivers what was missed while the channel was cut. Rejects where the broker is unavailable again. */
  async catchUp(last: string): Promise<void> {
    const from = this.#position;
    if (from === null) return this.begin(last);
    this.#waiting ??= new Backlog();
    const { messages, complete, last: end } = await this.#askLog(this.local.name, from);
    if (!complete) this.local.notifyGap();
    for (const message of messages) this.#handOn(message);
    this.#position = end;
    this.#goOn();
  }

  /** A message has come over the channel. */
  onMessage(message: ReceivedMessage): void {
    if (this.#waiting !== null) return void this.#waiting.add(message);
    if (this.#position === null || compareIds(message.id, this.#position) <= 0) return;
    if (message.previous === this.#position) return void this.#handOn(message);
    this.#waiting = new Backlog();
    this.#waiting.add(message);
    // Where it fails the connection is lost, and the next one catches up.
    this.catchUp(message.id).catch(this.#onError);
  }

  /** Resolves once a message of this node was delivered, so that its sender is notified after all messages before it. */
  handedOn(stamp: Stamp): Promise<Stamp> {
    if (this.#position !== null && compareIds(stamp.id, this.#position) <= 0) return Promise.resolve(stamp);
    return new Promise((resolve) => this.#awaiting.set(stamp.id, () => resolve(stamp)));
  }

  addMember(membership: string, user: string): void {
    if (this.#users.has(membership)) return;
    this.#users.set(membership, user);
    this.local.notifyJoined(user, this.memberships.get(membership) ?? null);
  }

  exit(membership: string): void {
    const user = this.#users.get(membership);
    if (user === undefined) return;
    this.#users.delete(membership);
    this.local.exit(user);
  }

  /** Sets all members of the room. Those that are missing have left without an event. */
  renew(users: ReadonlyMap<string, string>): void {
    for (const membership of [...this.#users.keys()]) if (!users.has(membership)) this.exit(membership);
    for (const [id, user] of users) this.addMember(id, user);
  }

  #goOn(): void {
    const waiting = this.#waiting;
    // Where some were dropped, the room stays behind until they are read from the log.
    this.#waiting = waiting?.full ? new Backlog() : null;
    for (const message of waiting?.messages ?? []) this.onMessage(message);
    this.#settle();
  }

  #handOn(message: Logged): void {
    if (this.#position !== null && compareIds(message.id, this.#position) <= 0) return;
    const { membership } = message;
    this.#position = message.id;
    this.local.deliver(message, membership === null ? null : (this.memberships.get(membership) ?? null));
    this.#awaiting.get(message.id)?.();
    this.#awaiting.delete(message.id);
  }

  /** Those that wait for messages which the log has no more. */
  #settle(): void {
    for (const [id, resolve] of this.#awaiting) {
      if (compareIds(id, this.#position ?? '0-0') > 0) continue;
      this.#awaiting.delete(id);
      resolve();
    }
  }
}
