// The handler `rooms` with `format: json`: typed messages, each a JSON object with a `type`. docs/rooms.md is its contract:
// every message, every field, every error code.
import { BrokerError, isMessageId, type Message, type MessageView, type Stamp } from '../broker/broker.ts';
import type { MessageType } from '../handler.ts';
import type { RoomProtocol, RoomProtocolOptions } from './room-protocol.ts';

/** Messages that one answer to `history` has at most. */
const MAX_HISTORY = 1000;
const DEFAULT_HISTORY = 50;
/** How deep objects and arrays may stand in each other, a message's own object among them. */
const MAX_DEPTH = 64;

type Fields = Readonly<Record<string, unknown>>;

/** A request of the client that failed; reported with its code. */
class Fault extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** `presence`: whether members are notified of joins and leaves. */
export function jsonView(presence: boolean): MessageView {
  return {
    message: (_, message) => `{"type":"message",${partsOf(message)}}`,
    presence: (_, change, user) => (presence ? JSON.stringify({ type: change, user }) : null),
    gap: () => '{"type":"gap"}',
  };
}

/** The inside of a message's object; the value sent is copied as it is, for it is JSON already. */
function partsOf({ id, at, user, data }: Message): string {
  return `"id":${JSON.stringify(id)},"time":"${timeOf(at)}","user":${JSON.stringify(user)},"data":${data}`;
}

function timeOf(at: number): string {
  return new Date(at).toISOString();
}

export class JsonRoomProtocol implements RoomProtocol {
  readonly #options: RoomProtocolOptions;
  /** The last message before live delivery began. */
  readonly #last: string | null;

  constructor(options: RoomProtocolOptions, presence: boolean) {
    this.#options = options;
    const { room, user, joined, may } = options;
    this.#last = joined.position;
    const users = presence ? { users: joined.users() } : {};
    this.#send({ type: 'joined', room, user, position: joined.position, may: mayOf(may), ...users });
  }

  message(type: MessageType, data: Buffer): void {
    if (type === 'binary') return void this.#options.connection.close(1003, 'text_only');
    const request = parse(data);
    if (request instanceof Fault) return void this.#sendError(undefined, request);
    const { requests } = this.#options;
    const act = (): Promise<void> => this.#answer(request);
    // Answers may be large, and one costs the broker as much as many messages: each member waits for its own.
    if (request['type'] === 'publish') requests.begin(data.length, act);
    else requests.enqueue(data.length, act);
  }

  dropped(count: number): void {
    this.#send({ type: 'gap', dropped: count });
  }

  async #answer(request: Fields): Promise<void> {
    try {
      await this.#serve(request);
    } catch (error) {
      if (!(error instanceof Fault || error instanceof BrokerError)) throw error;
      this.#sendError(request['ref'], error);
    }
  }

  async #serve(request: Fields): Promise<void> {
    const { ref } = request;
    if (ref !== undefined && typeof ref !== 'string' && typeof ref !== 'number')
      throw new Fault('malformed', '"ref" is a string or a number');
    switch (request['type']) {
      case 'publish':
        return void this.#acknowledge(ref, await this.#publish(request));
      case 'history':
        return this.#history(request);
      case 'resume':
        return this.#resume(request);
      case 'presence':
        return this.#presence(ref);
      default:
        throw new Fault('unknown_type', 'there is publish, history, resume and presence');
    }
  }

  #publish(request: Fields): Promise<Stamp> {
    if (!this.#options.may.publish) throw new Fault('not_allowed', 'this member may not publish');
    const { data } = request;
    if (data === undefined) throw new Fault('malformed', '"data" is missing');
    return this.#options.joined.publish(JSON.stringify(data));
  }

  #acknowledge(ref: unknown, { id, at }: Stamp): void {
    this.#send({ type: 'ack', ref, id, time: timeOf(at) });
  }

  /** The last messages before the member joined, or before one that it names. */
  async #history({ ref, count = DEFAULT_HISTORY, before }: Fields): Promise<void> {
    if (!Number.isInteger(count) || (count as number) < 1 || (count as number) > MAX_HISTORY)
      throw new Fault('malformed', `"count" is a whole number from 1 to ${MAX_HISTORY}`);
    const wanted = count as number;
    const until = this.#end(before);
    const { messages, complete } = await this.#options.read({
      count: before === undefined ? wanted : wanted + 1,
      until,
    });
    const shown = before === undefined ? messages : messages.filter(({ id }) => id !== before).slice(-wanted);
    const texts = shown.map((message) => `{${partsOf(message)}}`).join(',');
    const rest = JSON.stringify({ ref, complete });
    this.#sendText(`{"type":"history","messages":[${texts}],${rest.slice(1)}`);
  }

  /** The messages after one that the client has: each once, in order, before anything newer. */
  async #resume({ ref, after, before }: Fields): Promise<void> {
    if (typeof after !== 'string' || !isMessageId(after))
      throw new Fault('malformed', '"after" is the id of a message');
    const until = this.#end(before);
    const { mailbox } = this.#options;
    if (!mailbox.hold()) throw new Fault('busy', 'a resume is under way');
    try {
      const { messages, complete } = await this.#options.read({ after, until });
      if (!complete) return void this.#send({ type: 'gap', ref, after });
      const missed = messages.filter(({ id }) => id !== before);
      for (const message of missed) this.#sendText(`{"type":"message",${partsOf(message)}}`);
      this.#send({ type: 'resumed', ref, after, count: missed.length });
    } finally {
      mailbox.release();
    }
  }

  /** Where the requested messages end: before a message, or where live delivery began. */
  #end(before: unknown): string {
    if (!this.#options.may.subscribe) throw new Fault('not_allowed', 'this member may not subscribe');
    if (this.#last === null) throw new BrokerError('unavailable', 'the broker was away when this member came');
    if (before === undefined) return this.#last;
    if (typeof before !== 'string' || !isMessageId(before))
      throw new Fault('malformed', '"before" is the id of a message');
    return before;
  }

  async #presence(ref: unknown): Promise<void> {
    this.#send({ type: 'presence', ref, users: await this.#options.users() });
  }

  #sendError(ref: unknown, error: Fault | BrokerError): void {
    const code = error instanceof Fault ? error.code : error.fault;
    this.#send({ type: 'error', ref, code, detail: error.message });
  }

  #send(message: object): void {
    this.#sendText(JSON.stringify(message));
  }

  #sendText(text: string): void {
    this.#options.connection.send('text', text);
  }
}

function parse(data: Buffer): Fields | Fault {
  // JSON.stringify and many clients' parsers recurse.
  if (isDeeper(data, MAX_DEPTH)) return new Fault('malformed', `a message is at most ${MAX_DEPTH} levels deep`);
  try {
    const value: unknown = JSON.parse(data.toString());
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  } catch {
    // Neither is an object.
  }
  return new Fault('malformed', 'a message is a JSON object with a type');
}

const [QUOTE, BACKSLASH] = [0x22, 0x5c];

/**
 * Whether brackets and braces of a JSON text stand in each other more than so many times. For another text the result
 * means nothing.
 */
function isDeeper(text: Buffer, maxDepth: number): boolean {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const octet = text[i] as number;
    if (octet === QUOTE) quoted = !quoted;
    else if (quoted) i += octet === BACKSLASH ? 1 : 0;
    // `[` and `{`, `]` and `}` differ in one bit.
    else if ((octet | 0x20) === 0x7b && ++depth > maxDepth) return true;
    else if ((octet | 0x20) === 0x7d) depth--;
  }
  return false;
}

function mayOf({ publish, subscribe }: RoomProtocolOptions['may']): string[] {
  return [...(publish ? ['publish'] : []), ...(subscribe ? ['subscribe'] : [])];
}
