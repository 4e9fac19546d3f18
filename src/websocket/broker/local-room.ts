// One room as far as this process holds it: its seats, and handing to them what happens there. What has happened, and in
// which order, is the broker's word.
import { reportDefect } from '../../base/guard.ts';
import { type PreparedMessage, prepareText } from '../frame.ts';
import type { Membership, Message, MessageView } from './broker.ts';

export class LocalRoom {
  readonly name: string;
  /** By view, so that what many members get is made once. */
  readonly #members = new Map<MessageView, Set<Membership>>();
  /** Connections of each user, over all gateways that are known of. */
  readonly #users = new Map<string, number>();
  #size = 0;
  #delivered = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** Seats taken here. */
  get size(): number {
    return this.#size;
  }

  /** Messages that seats were handed, one for each seat. */
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

  /** Hands a message to all seats that listen; to `from`, who said it, only where it wants its own. */
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

  /** A connection of a user has come; all but its own seat are told where it is the user's first. */
  notifyJoined(user: string, own: Membership | null): void {
    const connections = this.#users.get(user) ?? 0;
    this.#users.set(user, connections + 1);
    if (connections === 0) this.#notify((view) => view.presence(this.name, 'join', user), own);
  }

  /** A connection of a user has gone; all are told where it was the user's last. */
  exit(user: string): void {
    const connections = this.#users.get(user) ?? 0;
    if (connections > 1) this.#users.set(user, connections - 1);
    else if (this.#users.delete(user)) this.#notify((view) => view.presence(this.name, 'leave', user), null);
  }

  /** Tells everyone that messages were lost to them. */
  notifyGap(): void {
    this.#notify((view) => view.gap(this.name), null);
  }

  #notify(show: (view: MessageView) => string | null, except: Membership | null): void {
    this.#hand(show, (membership) => membership !== except && membership.listens);
  }

  /** What breaks for one view or seat costs the others nothing. */
  #hand(show: (view: MessageView) => string | null, gets: (membership: Membership) => boolean): void {
    for (const [view, members] of this.#members) {
      const message = attempt(null, () => prepared(show(view)));
      if (message === null) continue;
      for (const member of members) if (gets(member)) attempt(member.connection, () => member.receive(message));
    }
  }
}

const prepared = (text: string | null): PreparedMessage | null => (text === null ? null : prepareText(text));

/** Null where it breaks; `connection` is the id of whom it is for. */
function attempt<T>(connection: string | null, act: () => T): T | null {
  try {
    return act();
  } catch (thrown) {
    reportDefect('rooms', thrown, connection);
    return null;
  }
}
