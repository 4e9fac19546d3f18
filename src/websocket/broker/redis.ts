// The broker of several gateways that share a Redis. What happens in Redis is redis-scripts.ts, the connections to it
// are redis-link.ts, the order of messages is redis-room.ts, the members of one gateway, a node, are redis-memberships.ts.
// Here the node takes part: it joins and leaves rooms in Redis, sends heartbeats, and resumes after Redis was unavailable.
import { randomBytes } from 'node:crypto';
import { background, ignore, reportDefect } from '../../base/guard.ts';
import type { MemoryBudget } from '../../base/memory-budget.ts';
import type { Emit, Sample } from '../../events.ts';
import type { Revocation } from '../../sessions/revocations.ts';
import type { ConnectionDescription } from '../connections.ts';
import type { MessageType } from '../handler.ts';
import {
  type Broker,
  BrokerError,
  type Excerpt,
  type Joined,
  type Local,
  type Member,
  type Membership,
  type Post,
  type RoomRules,
  type RoomSummary,
  type Span,
  type Stamp,
} from './broker.ts';
import { RedisChannel } from './redis-channel.ts';
import { type loadRedis, RedisLink } from './redis-link.ts';
import { type LocalMembership, RedisMemberships } from './redis-memberships.ts';
import type { RedisRoom } from './redis-room.ts';
import { RedisRpc } from './redis-rpc.ts';
import { LEASE_MS } from './redis-scripts.ts';
import { RedisStore, usersOf } from './redis-store.ts';
import { type Event, prefixOf } from './redis-wire.ts';

const HEARTBEAT_MS = LEASE_MS / 4;

export interface RedisOptions {
  readonly library: Awaited<ReturnType<typeof loadRedis>>;
  readonly url: string;
  readonly local: Local;
  readonly emit: Emit;
  /** The budget of what waits for Redis. */
  readonly queues: MemoryBudget;
}

export class RedisBroker implements Broker {
  readonly name = 'redis';
  readonly #nodeId = randomBytes(8).toString('hex');
  readonly #emit: Emit;
  readonly #link: RedisLink;
  readonly #rpc: RedisRpc;
  readonly #store: RedisStore;
  readonly #memberships: RedisMemberships;
  /** Memberships that ended while Redis was unavailable. */
  readonly #departed = new Set<LocalMembership>();
  #down: string | null = 'not connected yet';
  #heartbeat: NodeJS.Timeout | undefined;
  readonly #counts = { published: 0, failed: 0 };

  /** That the broker is unavailable is reported elsewhere; anything else is a defect. */
  readonly #onError = (error: unknown): void => {
    if (!(error instanceof BrokerError)) reportDefect('redis', error);
  };

  readonly #channel = new RedisChannel((event) => this.#onEvent(event), this.#onError);

  constructor({ library, url, local, emit, queues }: RedisOptions) {
    this.#emit = emit;
    const prefix = prefixOf(url);
    this.#link = new RedisLink(library, {
      url,
      prefix,
      channel: `${prefix}node:${this.#nodeId}`,
      onUp: () => this.#takeUp(),
      onDown: (reason) => this.#onDown(reason),
      onMessage: this.#channel.receive,
      queues,
    });
    this.#store = new RedisStore(this.#nodeId, this.#link);
    const askLog = (room: string, after: string) => this.#store.since(room, after, '+');
    this.#memberships = new RedisMemberships(this.#nodeId, askLog, this.#onError);
    this.#rpc = new RedisRpc(this.#nodeId, this.#link, local);
  }

  start(): void {
    this.#link.start();
  }

  async close(): Promise<void> {
    clearTimeout(this.#heartbeat);
    await Promise.allSettled(this.#memberships.all.map((local) => this.#store.leave(local)));
    await this.#store.end().catch(ignore);
    this.#link.close();
  }

  degraded(): string | null {
    return this.#down === null ? null : `the broker is away (${this.#down})`;
  }

  async join(membership: Membership, rules: RoomRules): Promise<Joined | 'room_full' | 'too_many_rooms'> {
    const local = this.#memberships.create(membership, rules);
    const { room } = local;
    try {
      const refused = this.#down === null ? await this.#join(local, rules.limits) : null;
      if (refused !== null) {
        this.#memberships.forget(local);
        return refused;
      }
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      // The member joins in Redis once Redis is back.
    }
    // While Redis is unavailable it can't confirm the join: the member is in the room of this node only.
    this.#memberships.add(local);
    return {
      position: room.position,
      users: () => room.local.users(),
      publish: (data) => this.#publish(room, local, data),
      leave: () => this.#leave(local),
    };
  }

  async publish(name: string, { user, data }: Post): Promise<Stamp> {
    try {
      const stamp = await this.#store.publish(name, { membership: '', user: user ?? '', data });
      this.#counts.published++;
      return stamp;
    } catch (error) {
      this.#counts.failed++;
      throw error;
    }
  }

  async read(name: string, span: Span): Promise<Excerpt> {
    if ('after' in span) return this.#store.since(name, span.after, span.until);
    const messages = await this.#store.last(name, span.until, span.count);
    return { messages, complete: messages.length === span.count };
  }

  async members(name: string): Promise<readonly Member[]> {
    return [...(await this.#store.members(name)).values()];
  }

  rooms(): Promise<readonly RoomSummary[]> {
    return this.#store.rooms();
  }

  async sendTo(connection: string, type: MessageType, data: Buffer): Promise<boolean> {
    return (await this.#rpc.act(connection, { kind: 'send', type, data: data.toString('base64') })) !== null;
  }

  async describe(connection: string): Promise<ConnectionDescription | null> {
    const found = await this.#rpc.act(connection, { kind: 'describe' });
    return found === true ? null : found;
  }

  async disconnect(connection: string, code: number, reason: string): Promise<boolean> {
    return (await this.#rpc.act(connection, { kind: 'close', code, reason })) !== null;
  }

  revoke(revocation: Revocation, forMs: number): Promise<number> {
    return this.#rpc.revoke(revocation, forMs);
  }

  *sample(): Iterable<Sample> {
    const { published, failed } = this.#counts;
    yield* this.#memberships.sample();
    yield { metric: 'room_messages_total', labels: { result: 'published' }, value: published };
    yield { metric: 'room_messages_total', labels: { result: 'failed' }, value: failed };
    yield* this.#channel.sample();
    yield { metric: 'broker_up', labels: { broker: this.name }, value: this.#down === null ? 1 : 0 };
  }

  async #join(local: LocalMembership, limits: RoomRules['limits']): Promise<'room_full' | 'too_many_rooms' | null> {
    const { room } = local;
    const list = room.position === null ? 'list' : '';
    const joined = await this.#store.join(local, limits, list);
    if (typeof joined === 'string') return joined;
    if (list === 'list') room.renew(usersOf(joined.members));
    room.begin(joined.last);
    return null;
  }

  async #publish(room: RedisRoom, { id, membership }: LocalMembership, data: string): Promise<Stamp> {
    try {
      if (this.#down !== null) throw new BrokerError('unavailable', 'the broker is away');
      const stamp = await this.#store.publish(membership.room, { membership: id, user: membership.user, data });
      this.#counts.published++;
      return await room.handedOn(stamp);
    } catch (error) {
      this.#counts.failed++;
      // Delivery goes on among the members of this node; the log will show what was done elsewhere.
      if (error instanceof BrokerError && error.fault === 'unavailable')
        room.local.deliver({ id: null, at: Date.now(), user: membership.user, data }, membership);
      throw error;
    }
  }

  #leave(local: LocalMembership): void {
    if (this.#memberships.remove(local)) this.#store.leave(local).catch(() => this.#departed.add(local));
  }

  #onEvent(event: Event): void {
    if (event.kind === 'ask') this.#rpc.answer(event.question);
    else if (event.kind === 'reply') this.#rpc.answered(event.question, event.from, event.found);
    else this.#memberships.onEvent(event);
  }

  #onDown(reason: string): void {
    clearTimeout(this.#heartbeat);
    const known = this.#down !== null;
    this.#down = reason;
    if (known) return;
    this.#emit({ type: 'notice', level: 'error', message: 'the broker is away', data: { reason } });
    for (const room of this.#memberships.rooms) room.cut();
  }

  /** Redis is available, again or for the first time: sends it what it missed, and delivers what this node missed. */
  async #takeUp(): Promise<void> {
    await this.#sendHeartbeat();
    for (const local of [...this.#departed]) {
      await this.#store.leave(local);
      this.#departed.delete(local);
    }
    // All at once: Redis takes them in order, and a gateway may have many.
    await Promise.all(this.#memberships.all.map((local) => this.#join(local, {})));
    await Promise.all(this.#memberships.rooms.map((room) => this.#renewRoom(room)));
    this.#down = null;
    this.#emit({ type: 'notice', level: 'info', message: 'the broker is there' });
    this.#schedule();
  }

  async #renewRoom(room: RedisRoom): Promise<void> {
    room.renew(usersOf(await this.#store.members(room.local.name)));
    if (room.position !== null) await room.catchUp(room.position);
  }

  #schedule(): void {
    clearTimeout(this.#heartbeat);
    // Where the link is lost meanwhile, onUp runs again and schedules anew.
    this.#heartbeat = setTimeout(() => {
      const alive = this.#sendHeartbeat().then(() => this.#mendRooms());
      background(
        'redis',
        alive.catch(this.#onError).finally(() => this.#schedule()),
      );
    }, HEARTBEAT_MS).unref();
  }

  /** Catches up in rooms that miss messages, because Redis refused the request for them. */
  async #mendRooms(): Promise<void> {
    for (const room of this.#memberships.rooms) {
      if (room.behind && room.position !== null) await room.catchUp(room.position);
    }
  }

  /** Sends the heartbeat of this node, and removes members of dead nodes. */
  async #sendHeartbeat(): Promise<void> {
    const { known, more } = await this.#store.heartbeat();
    // Other nodes took this one for dead: its members join again.
    if (!known) await Promise.all(this.#memberships.all.map((local) => this.#join(local, {})));
    if (more) await this.#sendHeartbeat();
  }
}
