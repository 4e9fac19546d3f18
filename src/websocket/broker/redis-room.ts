// One room of a gateway among others: its seats here, everyone who is in it anywhere, and the place in its log up to which
// its seats have got everything. Messages come over Redis's channel and are handed on in the order of their ids, each
// once; where one is missing, which its predecessor's id tells, the log is asked.
import { bytesOf } from '../../base/memory-budget.ts';
import { compareIds, MAX_ROOM_BYTES, type Membership, type RoomMessage, type Stamp } from './broker.ts';
import { LocalRoom } from './local-room.ts';

/** A message as the log has it: with the seat it was said from, or null from outside. */
export interface Logged extends RoomMessage {
  readonly membership: string | null;
}

/** A message as it comes over the channel: with the id of the one before. */
export interface Heard extends Logged {
  readonly previous: string;
}

/** The log behind an id. */
export interface Behind {
  readonly messages: readonly Logged[];
  readonly complete: boolean;
  /** The id of the last message of the room. */
  readonly last: string;
}

/** Asks the log. Rejects where the broker is away. */
export type AskLog = (room: string, after: string) => Promise<Behind>;

/** What has come while the log is asked, bounded; beyond its bound it is let go of, for the log has it as well. */
class Backlog {
  readonly messages: Heard[] = [];
  #bytes = 0;
  /** Something was let go of. */
  full = false;

  add(message: Heard): void {
    this.#bytes += bytesOf(message.data) + HEARD_COST;
    if (this.#bytes > MAX_ROOM_BYTES) this.full = true;
    if (this.full) this.messages.length = 0;
    else this.messages.push(message);
  }
}

/** What a message costs in memory beside what was said. */
const HEARD_COST = 400;

export class RedisRoom {
  readonly local: LocalRoom;
  /** The seats taken here, by id. */
  readonly memberships = new Map<string, Membership>();
  /** Users of all seats, here and elsewhere, by the seat's id. */
  readonly #users = new Map<string, string>();
  readonly #askLog: AskLog;
  readonly #onError: (error: unknown) => void;
  #position: string | null = null;
  /** What has come while the log is asked; null: it is not. */
  #waiting: Backlog | null = new Backlog();
  /** Who waits for a message to have been handed on, by its id. */
  readonly #awaiting = new Map<string, () => void>();

  /** `onError` gets what broke in asking the log without anybody waiting for it. */
  constructor(name: string, askLog: AskLog, onError: (error: unknown) => void) {
    this.local = new LocalRoom(name);
    this.#askLog = askLog;
    this.#onError = onError;
  }

  /** Whether something is missing, or being asked for. */
  get behind(): boolean {
    return this.#waiting !== null;
  }

  /** Everything up to here was handed on; null: nothing is known of the log yet. */
  get position(): string | null {
    return this.#position;
  }

  /** The log is known up to its last message; what has come behind it goes on. */
  begin(last: string): void {
    if (this.#position !== null) return;
    this.#position = last;
    this.#goOn();
  }

  /** The channel was cut: what comes next may not be what comes next in the log. */
  cut(): void {
    this.#waiting ??= new Backlog();
  }

  /** Hands on what was missed while the channel was cut. Rejects where the broker is away again. */
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
  onMessage(message: Heard): void {
    if (this.#waiting !== null) return void this.#waiting.add(message);
    if (this.#position === null || compareIds(message.id, this.#position) <= 0) return;
    if (message.previous === this.#position) return void this.#handOn(message);
    this.#waiting = new Backlog();
    this.#waiting.add(message);
    // Where it fails the connection is lost, and the next one catches up.
    this.catchUp(message.id).catch(this.#onError);
  }

  /** Resolves once a message that was said here has been handed on, so that its sender hears of it after those before it. */
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

  /** Everyone who is in the room now; who is not has left unheard. */
  renew(users: ReadonlyMap<string, string>): void {
    for (const membership of [...this.#users.keys()]) if (!users.has(membership)) this.exit(membership);
    for (const [id, user] of users) this.addMember(id, user);
  }

  #goOn(): void {
    const waiting = this.#waiting;
    // Where some were let go of, the room stays behind until the log is asked for them.
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

  /** Waiters for what the log had no more. */
  #settle(): void {
    for (const [id, resolve] of this.#awaiting) {
      if (compareIds(id, this.#position ?? '0-0') > 0) continue;
      this.#awaiting.delete(id);
      resolve();
    }
  }
}
