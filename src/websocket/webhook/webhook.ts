// The handler `webhook`: what happens on a connection becomes HTTP requests to a backend that keeps no state, and its
// answers become messages. The events of one connection go out one after the other, in order.
import { background } from '../../base/guard.ts';
import type { MemoryBudget } from '../../base/memory-budget.ts';
import type { WebhookConfig } from '../../config/schema/schema-handlers.ts';
import { asGatewayError, GatewayError } from '../../errors.ts';
import type { SessionEnd } from '../../events.ts';
import { reject } from '../../handshake/rejection.ts';
import { responseFields } from '../../http/policy/policy.ts';
import type {
  Admitted,
  ConnectionHandler,
  HandshakeHook,
  HandshakeResult,
  MessageType,
  Opening,
  WebSocketConnection,
} from '../handler.ts';
import {
  buildEvent,
  type Content,
  connectContent,
  connectedContent,
  disconnectedContent,
  type EventName,
  type EventSource,
  messageContent,
  readConnectAnswer,
  readMessageAnswer,
  sign,
} from './cloud-event.ts';
import type { Answered, WebhookBackend } from './webhook-backend.ts';

export interface WebhookOptions {
  readonly route: string;
  readonly config: Pick<WebhookConfig, 'hub' | 'key' | 'events' | 'queue'>;
  readonly backend: WebhookBackend;
  /** The budget of what waits. */
  readonly queues: MemoryBudget;
}

/** The handler `webhook` of one route. */
export function createWebhook({ route, config, backend, queues }: WebhookOptions): HandshakeHook {
  const keys = (config.key ?? '').split(',').flatMap((key) => key.trim() || []);
  const wanted: ReadonlySet<EventName> = new Set(config.events);
  const setting = { backend, wanted, queue: config.queue, queues };
  return {
    admit(opening) {
      const source: EventSource = {
        connection: opening.id,
        request: opening.client.id,
        hub: config.hub ?? route,
        host: opening.request.host,
        signature: sign(keys, opening.id),
        user: opening.principal?.subject ?? null,
        subprotocol: null,
        state: null,
      };
      if (wanted.has('connect')) return ask(opening, source, setting);
      return admitted({ ...source, subprotocol: opening.protocol }, setting);
    },
  };
}

interface Setting {
  readonly backend: WebhookBackend;
  readonly wanted: ReadonlySet<EventName>;
  readonly queue: number;
  readonly queues: MemoryBudget;
}

/** What an event costs in memory beside its body: the fields of its request. */
const EVENT_COST = 1024;

/** The event `connect`: the client gets no response before the backend has given one. */
async function ask(opening: Opening, source: EventSource, setting: Setting): Promise<HandshakeResult> {
  if (setting.backend.full) return reject('limit');
  const event = buildEvent(source, 'connect', connectContent(opening));
  const { reply, at } = await setting.backend.ask(event, opening.signal);
  if (reply.status >= 400 && reply.status < 500) {
    const answer = without(responseFields(reply.fields), NOT_THE_CLIENTS);
    return { status: reply.status, phrase: reply.phrase, answer, body: reply.body, at };
  }
  if (reply.status >= 300) throw new GatewayError('bad_accept', `${at.server} answered connect with ${reply.status}`);
  const read = readConnectAnswer(reply, opening.offer);
  if ('fault' in read) throw new GatewayError('bad_accept', `${at.server}: ${read.fault}`);
  const { user, state, subprotocol = opening.protocol } = read;
  return admitted({ ...source, user: user ?? source.user, state, subprotocol }, setting);
}

/** Framing is the gateway's, and fields that are meant for the gateway do not go to the client. */
const NOT_THE_CLIENTS = /^(?:content-length|trailer|ce-.*|webhook-.*)$/i;

function without(fields: readonly string[], names: RegExp): string[] {
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (!names.test(name)) kept.push(name, fields[i + 1] as string);
  }
  return kept;
}

function admitted(source: EventSource, setting: Setting): Admitted {
  return {
    user: source.user,
    protocol: source.subprotocol,
    open: (connection) => new WebhookConnection(connection, source, setting),
    // The backend has accepted the connection, and is notified that it did not open.
    abandon: () => new WebhookConnection(null, source, setting).closed(null),
  };
}

/** Statuses about the client's access have close codes of their own. */
const CLOSES: Readonly<Record<number, readonly [number, string]>> = {
  401: [4401, 'the backend answered 401'],
  403: [4403, 'the backend answered 403'],
};

interface QueuedEvent {
  readonly name: EventName;
  readonly content: Content;
}

/** One connection's events, on their way one at a time. */
class WebhookConnection implements ConnectionHandler {
  /** Null: it never opened. */
  readonly #connection: WebSocketConnection | null;
  readonly #setting: Setting;
  readonly #queue: QueuedEvent[] = [];
  #source: EventSource;
  #busy = false;
  #paused = false;
  /** A message was not taken: the connection is being closed, and what came behind it is dropped. */
  #broken = false;

  constructor(connection: WebSocketConnection | null, source: EventSource, setting: Setting) {
    this.#connection = connection;
    this.#source = source;
    this.#setting = setting;
    if (connection !== null) this.#put('connected', connectedContent());
  }

  message(type: MessageType, data: Buffer): void {
    if (this.#broken) return;
    const { queue, queues } = this.#setting;
    if (!queues.fits(data.length + EVENT_COST)) {
      this.#break(1013, 'queues_full');
      return;
    }
    this.#put('message', messageContent(type, data));
    // While all queues together are more than half full, each client that sends is paused.
    if (this.#paused || (this.#queue.length < queue && queues.used <= queues.limit / 2)) return;
    this.#paused = true;
    this.#connection?.pause();
  }

  closed(end: SessionEnd | null): void {
    this.#put('disconnected', disconnectedContent(end));
  }

  #put(name: EventName, content: Content): void {
    if (!this.#setting.wanted.has(name)) return;
    this.#queue.push({ name, content });
    this.#setting.queues.add(content.body.length + EVENT_COST);
    if (!this.#busy) background('webhook', this.#work(), () => this.#break(1011, 'handler_failed'));
  }

  async #work(): Promise<void> {
    this.#busy = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) await this.#next(next);
    } finally {
      this.#busy = false;
    }
  }

  async #next(next: QueuedEvent): Promise<void> {
    try {
      if (this.#paused && this.#queue.length <= this.#setting.queue / 2) {
        this.#paused = false;
        this.#connection?.resume();
      }
      if (!this.#broken || next.name !== 'message') await this.#deliver(next);
    } finally {
      this.#setting.queues.remove(next.content.body.length + EVENT_COST);
    }
  }

  async #deliver({ name, content }: QueuedEvent): Promise<void> {
    try {
      // What has been received is delivered, also when its sender has closed.
      const answered = await this.#setting.backend.ask(buildEvent(this.#source, name, content), null);
      // The answers to the others change nothing.
      if (name === 'message') this.#take(answered);
    } catch (thrown) {
      if (name === 'message') this.#break(1011, asGatewayError(thrown, 'webhook').code);
    }
  }

  #take({ reply }: Answered): void {
    if (reply.status >= 300) {
      const fallback = reply.status >= 500 ? 1011 : 1008;
      const [code, reason] = CLOSES[reply.status] ?? [fallback, `the backend answered ${reply.status}`];
      this.#break(code, reason);
      return;
    }
    const answer = readMessageAnswer(reply);
    if ('fault' in answer) {
      this.#break(1011, 'bad_answer');
      return;
    }
    if (answer.state !== null) this.#source = { ...this.#source, state: answer.state };
    if (answer.message === null || this.#connection === null) return;
    if (!this.#connection.send(answer.message.type, answer.message.data)) this.#connection.hold();
  }

  #break(code: number, reason: string): void {
    this.#broken = true;
    this.#connection?.close(code, reason);
  }
}
