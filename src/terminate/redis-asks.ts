// Reaching a connection that another gateway holds: all living gateways are asked, and the one that has it answers. Nothing
// is written down for it, so that opening and closing connections costs Redis nothing.
import { randomUUID } from 'node:crypto';
import { BrokerError, type ConnectionDescription } from './broker.ts';
import type { Reach } from './connections.ts';
import type { RedisLink } from './redis-link.ts';
import { formatQuestion, formatReply, type Question } from './redis-wire.ts';

/** How long the others may take to answer. */
const PATIENCE_MS = 2000;

/** What was found of a connection: its description, true where it was sent to or closed, null where it is not there. */
type Found = ConnectionDescription | true | null;

interface Asked {
  /** Gateways that have not answered; null until it is known who was asked. */
  left: Set<string> | null;
  readonly answered: Set<string>;
  readonly settle: (found: Found) => void;
}

export class RedisAsks {
  readonly #gate: string;
  readonly #link: RedisLink;
  readonly #reach: Reach;
  readonly #asked = new Map<string, Asked>();

  /** `gate` is this gateway's own name. */
  constructor(gate: string, link: RedisLink, reach: Reach) {
    this.#gate = gate;
    this.#link = link;
    this.#reach = reach;
  }

  /** Does it here where the connection is here, else wherever it is. Rejects where someone who may have it does not answer. */
  async act(connection: string, act: Question['act']): Promise<Found> {
    const question: Question = { id: randomUUID(), from: this.#gate, connection, act };
    return this.#find(question) ?? this.#ask(question);
  }

  /** Another gateway asks. */
  answer(question: Question): void {
    const reply = formatReply(question, this.#gate, this.#find(question));
    // Who asked gives up by itself where the answer is lost.
    this.#link.run('reply', question.from, reply).catch(() => {});
  }

  /** Another gateway has answered. */
  answered(id: string, from: string, found: unknown): void {
    const asked = this.#asked.get(id);
    if (!asked) return;
    asked.answered.add(from);
    asked.left?.delete(from);
    if (found !== null || asked.left?.size === 0) asked.settle(found as Found);
  }

  #ask(question: Question): Promise<Found> {
    return new Promise((resolve, reject) => {
      const end = (act: () => void): void => {
        clearTimeout(timer);
        this.#asked.delete(question.id);
        act();
      };
      const timer = setTimeout(() => {
        end(() => reject(new BrokerError('unavailable', 'a gateway does not answer')));
      }, PATIENCE_MS);
      const asked: Asked = { left: null, answered: new Set(), settle: (found) => end(() => resolve(found)) };
      this.#asked.set(question.id, asked);
      this.#link.run('ask', this.#gate, formatQuestion(question)).then(
        (gates) => {
          asked.left = new Set((gates as string[]).filter((gate) => !asked.answered.has(gate)));
          if (asked.left.size === 0) asked.settle(null);
        },
        (error: unknown) => end(() => reject(error)),
      );
    });
  }

  #find({ connection, act }: Question): Found {
    const found = this.#reach(connection);
    if (!found) return null;
    if (act.kind === 'describe') return found.describe();
    if (act.kind === 'send') found.send(act.type, Buffer.from(act.data, 'base64'));
    else found.close(act.code, act.reason);
    return true;
  }
}
