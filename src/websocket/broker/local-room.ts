// The part of a room that this process holds: its members, and delivery to them. What has happened, and in which order,
// the broker decides.
import { reportDefect } from '../../base/guard.ts';
import { type PreparedMessage, prepareText } from '../frame.ts';
import type { Membership, Message, MessageView } from './broker.ts';

export class LocalRoom {
  readonly name: string;
  /** By view, so that what many members get is made once. */
  readonly #members = new Map<MessageView, Set<Membership>>();
  /** Connections of each user, over all nodes that are known. */
  readonly #users = new Map<string, number>();
  #size = 0;
  #delivered = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** Memberships of this process. */
  get size(): number {
    return this.#size;
  }

  /** Messages delivered, counted once for each member. */
  get delivered(): number {
    return this.#delivered;
  }

  /** The users in the room, each once. */
  users(): string[] {
    return [...this.#users.keys()];
  }

  take(membership: Membership): void {
    const members = this.#members.get(membership.view) ?? new Set();
    this.#members.set(membership.view, members);
    members.add(membership);
    this.#size++;
  }

  leave(membership: Membership): void {
    const members = this.#members.get(membership.view);
    if (!members?.delete(membership)) return;
    this.#size--;
    if (members.size === 0) this.#members.delete(membership.view);
  }

  /** Delivers a message to all members that listen; to `from`, its sender, only where it wants its own. */
  deliver(message: Message, from: Membership | null): void {
    this.#hand(
      (view) => view.message(this.name, message),
      (membership) => {
        if (!membership.listens || (membership === from && !membership.echo)) return false;
        this.#delivered++;
        return true;
      },
    );
  }

  /** A connection of a user has joined. Where it is the user's first, notifies all members but its own. */
  notifyJoined(user: string, own: Membership | null): void {
    const connections = this.#users.get(user) ?? 0;
    this.#users.set(user, connections + 1);
    if (connections === 0) this.#notify((view) => view.presence(this.name, 'join', user), own);
  }

  /** A connection of a user has left. Where it was the user's last, notifies all members. */
  exit(user: string): void {
    const connections = this.#users.get(user) ?? 0;
    if (connections > 1) this.#users.set(user, connections - 1);
    else if (this.#users.delete(user)) this.#notify((view) => view.presence(this.name, 'leave', user), null);
  }

  /** Notifies all members that messages were lost to them. */
  notifyGap(): void {
    this.#notify((view) => view.gap(this.name), null);
  }

  #notify(show: (view: MessageView) => string | null, except: Membership | null): void {
    this.#hand(show, (membership) => membership !== except && membership.listens);
  }

  /** An error in one view or member does not affect the others. */
  #hand(show: (view: MessageView) => string | null, gets: (membership: Membership) => boolean): void {
    for (const [view, members] of this.#members) {
      const message = attempt(null, () => prepared(show(view)));
      if (message === null) continue;
      for (const member of members) if (gets(member)) attempt(member.connection, () => member.receive(message));
    }
  }
}

const prepared = (text: string | null): PreparedMessage | null => (text === null ? null : prepareText(text));

/** Null where it throws; `connection` is the id of the connection it is for. */
function attempt<T>(connection: string | null, act: () => T): T | null {
  try {
    return act();
  } catch (thrown) {
    reportDefect('rooms', thrown, connection);
    return null;
  }
}
