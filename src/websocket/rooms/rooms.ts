// The handler `rooms`: members of a room get the messages of the others. A client joins before its 101, so that a full
// room is an HTTP response. The messages are those of rooms-text.ts or rooms-json.ts; the broker delivers them.
import type { MemoryBudget } from '../../base/memory-budget.ts';
import { isRejection, reject } from '../../handshake/rejection.ts';
import type { Broker, Joined, Membership, MessageView, RoomRules } from '../broker/broker.ts';
import type { ConnectionHandler, HandshakeHook, HandshakeResult, Opening, WebSocketConnection } from '../handler.ts';
import { type NameRules, RoomNames } from './room-names.ts';
import { Mailbox, openRoomConnection, type Permissions, Requests, type RoomProtocolOptions } from './room-protocol.ts';
import { JsonRoomProtocol, jsonView } from './rooms-json.ts';
import { textRoomProtocol, textView } from './rooms-text.ts';

export interface RoomsOptions extends NameRules {
  readonly format: 'text' | 'json';
  readonly allow: readonly ('publish' | 'subscribe')[];
  readonly publishers?: readonly string[] | undefined;
  readonly echo: boolean;
  readonly presence: boolean;
  readonly history: RoomRules['retention'];
  readonly limits: { readonly members?: number | undefined; readonly rooms_per_user?: number | undefined };
}

/** A membership that has begun, before its connection opens. */
interface Reserved {
  readonly membership: Membership;
  readonly joined: Joined;
  readonly may: Permissions;
  readonly mailbox: Mailbox;
}

export class Rooms implements HandshakeHook {
  readonly #options: RoomsOptions;
  readonly #broker: Broker;
  readonly #queues: MemoryBudget;
  readonly #names: RoomNames;
  readonly #rules: RoomRules;
  readonly #views: { readonly guest: MessageView; readonly named: MessageView };

  /** `queues` is the budget of the messages that are queued for members. */
  constructor(options: RoomsOptions, broker: Broker, queues: MemoryBudget) {
    this.#options = options;
    this.#broker = broker;
    this.#queues = queues;
    this.#names = new RoomNames(options);
    const { members, rooms_per_user } = options.limits;
    this.#rules = { retention: options.history, limits: { members, roomsPerUser: rooms_per_user } };
    const typed = jsonView(options.presence);
    this.#views =
      options.format === 'json' ? { guest: typed, named: typed } : { guest: textView(false), named: textView(true) };
  }

  async admit(opening: Opening): Promise<HandshakeResult> {
    const named = this.#names.resolve(opening);
    if (isRejection(named)) return named;
    const { room, user, guest } = named;
    const { allow, publishers, echo } = this.#options;
    const may: Permissions = {
      publish: allow.includes('publish') && (publishers?.includes(user) ?? true),
      subscribe: allow.includes('subscribe'),
    };
    const mailbox = new Mailbox(this.#queues);
    const view = guest ? this.#views.guest : this.#views.named;
    const membership: Membership = {
      room,
      user,
      connection: opening.id,
      view,
      receive: mailbox.receive,
      listens: may.subscribe,
      echo,
    };
    const joined = await this.#broker.join(membership, this.#rules);
    if (typeof joined === 'string') return reject(joined);
    // A client that closes before it opens leaves the room.
    const leave = (): void => {
      joined.leave();
      mailbox.discard();
    };
    opening.signal.addEventListener('abort', leave, { once: true });
    if (opening.signal.aborted) leave();
    return {
      user,
      room,
      open: (connection) => {
        opening.signal.removeEventListener('abort', leave);
        return this.#open({ membership, joined, may, mailbox }, connection);
      },
    };
  }

  #open({ membership, joined, may, mailbox }: Reserved, connection: WebSocketConnection): ConnectionHandler {
    const { room, user } = membership;
    const { format, presence } = this.#options;
    const broker = this.#broker;
    mailbox.connect(connection);
    const options: RoomProtocolOptions = {
      room,
      user,
      connection,
      joined,
      may,
      mailbox,
      requests: new Requests(connection),
      read: (span) => broker.read(room, span),
      users: async () => [...new Set((await broker.members(room)).map((member) => member.user))],
    };
    const protocol = format === 'json' ? new JsonRoomProtocol(options, presence) : textRoomProtocol(options);
    mailbox.release();
    return openRoomConnection(protocol, options);
  }
}
