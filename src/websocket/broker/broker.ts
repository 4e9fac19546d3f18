// The interface between gateways: rooms, their members, their messages, and reaching a connection by its id, whichever
// gateway holds it. One file per implementation: memory.ts (this process alone), redis.ts (all that share a Redis). The
// handlers decide what clients see of it.
import type { Sampler } from '../../events.ts';
import type { Revocation, Revocations } from '../../sessions/revocations.ts';
import type { ConnectionDescription, Reach } from '../connections.ts';
import type { PreparedMessage } from '../frame.ts';
import type { MessageType } from '../handler.ts';

/** A message to a room, before it has its id. */
export interface Post {
  /** Its sender; null from outside, such as through the admin API. */
  readonly user: string | null;
  /** JSON text of the value; a plain text is a JSON string. */
  readonly data: string;
}

/** A message of a room. */
export interface RoomMessage extends Post {
  /** Its id, which is its position in the room, `milliseconds-number`: later ones are greater, see compareIds. */
  readonly id: string;
  /** When the broker took it, Unix time in milliseconds. */
  readonly at: number;
}

/** What a room keeps for those who come later. */
export interface Retention {
  /** Most messages; 0 keeps none. */
  readonly count: number;
  /** Milliseconds. */
  readonly age: number;
}

/** A member of a room: one connection. */
export interface Member {
  readonly user: string;
  /** Id of the connection. */
  readonly connection: string;
  /** Unix time in milliseconds. */
  readonly since: number;
}

export interface RoomSummary {
  readonly room: string;
  /** Connections in it. */
  readonly members: number;
}

/** How many may be in rooms; undefined is no limit. */
export interface RoomLimits {
  /** Connections in the room. */
  readonly members?: number | undefined;
  /** Rooms that one user is in. */
  readonly roomsPerUser?: number | undefined;
}

/** The messages of a room in the format of one kind of client. One view serves many members. */
export interface MessageView {
  /** A message of another member or from outside; null: nothing is sent. */
  message(room: string, message: Message): string | null;
  /** The first connection of a user has joined, or the last one has left. */
  presence(room: string, change: 'join' | 'leave', user: string): string | null;
  /**
   * Messages behind the last one were lost to this member: the broker kept fewer than were published while it was
   * unavailable.
   */
  gap(room: string): string | null;
}

/** A message as it is delivered; without an id where only this gateway's members get it, as the broker is unavailable. */
export type Message = Omit<RoomMessage, 'id'> & { readonly id: string | null };

/** One connection's membership of a room. */
export interface Membership {
  readonly room: string;
  readonly user: string;
  readonly connection: string;
  readonly view: MessageView;
  /** Gets what the view made, from the moment it joins. */
  readonly receive: (message: PreparedMessage) => void;
  /** False: it only publishes. */
  readonly listens: boolean;
  /** Whether it gets its own messages too. */
  readonly echo: boolean;
}

/** What a room keeps and how many it takes, as the route of a member has it. */
export interface RoomRules {
  readonly retention: Retention;
  readonly limits: RoomLimits;
}

/** A membership that has begun. */
export interface Joined {
  /** The last message before the member came; everything later is delivered to it. Null while the broker is unavailable. */
  readonly position: string | null;
  /** The users in the room, its own included, each once. */
  users(): readonly string[];
  /**
   * Publishes a message; resolves once it has its id and was delivered to this gateway's members. Rejects with a
   * BrokerError.
   */
  publish(data: string): Promise<Stamp>;
  /** Ends the membership; further calls do nothing. */
  leave(): void;
}

/** The id and time that the broker gave a message. */
export interface Stamp {
  readonly id: string;
  readonly at: number;
}

/** Messages of a room, oldest first. */
export interface Excerpt {
  readonly messages: readonly RoomMessage[];
  /** False: there was more than is kept. */
  readonly complete: boolean;
}

/** Everything after the first and up to the second id, or at most the last `count` up to an id. */
export type Span =
  | { readonly after: string; readonly until: string }
  | { readonly count: number; readonly until: string };

/** Why a broker could not do what was asked. */
export type BrokerFault =
  /**
   * The broker is unavailable, and nothing was done elsewhere; of a message: this gateway's members got it, without an
   * id.
   */
  | 'unavailable'
  /** The broker was lost meanwhile: it may have been done. */
  | 'unconfirmed';

export class BrokerError extends Error {
  readonly fault: BrokerFault;

  constructor(fault: BrokerFault, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'BrokerError';
    this.fault = fault;
  }
}

/**
 * What brings rooms and connections of all gateways together. Every promise rejects with a BrokerError, and with nothing
 * else but defects.
 */
export interface Broker extends Sampler {
  readonly name: 'memory' | 'redis';
  /** Starts at once: a broker that is unavailable is tried again and again. */
  start(): void;
  /** Ends every membership and stops. */
  close(): Promise<void>;
  /** Null while the broker works; else what is wrong, in a few words. Local delivery goes on then. */
  degraded(): string | null;

  /** Joins a room. While the broker is unavailable, the member joins this gateway's part of the room. */
  join(membership: Membership, rules: RoomRules): Promise<Joined | 'room_full' | 'too_many_rooms'>;
  /** Publishes a message to a room from outside. A room that nobody was in keeps it by the default retention. */
  publish(room: string, post: Post): Promise<Stamp>;
  /** Reads messages of a room. */
  read(room: string, span: Span): Promise<Excerpt>;
  /** Everyone in a room, over all gateways; empty where there is no such room. */
  members(room: string): Promise<readonly Member[]>;
  /** The rooms with anyone in them, over all gateways. */
  rooms(): Promise<readonly RoomSummary[]>;

  /** Sends a message to a terminated connection of any gateway; false: there is none of that id. */
  sendTo(connection: string, type: MessageType, data: Buffer): Promise<boolean>;
  /** Describes a connection of any gateway; null: there is none of that id. */
  describe(connection: string): Promise<ConnectionDescription | null>;
  /** Closes a connection of any gateway with a Close (RFC 6455 §7.4); false: there is none of that id. */
  disconnect(connection: string, code: number, reason: string): Promise<boolean>;
  /** Revokes access on every gateway; resolves with the number of sessions closed. */
  revoke(revocation: Revocation, forMs: number): Promise<number>;
}

/** What a broker does in this process, for any gateway's request. */
export interface Local {
  readonly reach: Reach;
  readonly revoke: Revocations['revoke'];
}

/** What a room keeps where no route configures it. */
export const DEFAULT_RETENTION: Retention = { count: 100, age: 3_600_000 };

/** Bytes of one room's messages that are kept, whatever their number. */
export const MAX_ROOM_BYTES = 4 * 1024 * 1024;

const ID = /^\d{1,15}-\d{1,15}$/;

/** Whether a text is an id of a message. */
export function isMessageId(text: string): boolean {
  return ID.test(text);
}

/** Less than 0: the first is the earlier one. Both are ids. */
export function compareIds(one: string, other: string): number {
  const [oneAt = '', oneNumber = ''] = one.split('-');
  const [otherAt = '', otherNumber = ''] = other.split('-');
  return Number(oneAt) - Number(otherAt) || Number(oneNumber) - Number(otherNumber);
}
