// Reaching what other gateways hold: all living ones are asked, and the one that has a connection answers, or all of them
// do their part. Nothing is written down for it, so that opening and closing connections costs Redis nothing.

import { randomUUID } from 'node:crypto';
import { ignore } from '../../base/guard.ts';
import type { Revocation } from '../../sessions/revocations.ts';
import { BrokerError, type Local } from './broker.ts';
import type { RedisLink } from './redis-link.ts';
import { type Act, type Found, formatQuestion, formatReply, type Question, type RemoteCommand } from './redis-wire.ts';

/** How long the others may take to answer. */
const REPLY_TIMEOUT_MS = 2000;

interface Asked {
  /** Gateways that have not answered; null until it is known who was asked. */
  left: Set<string> | null;
  readonly answered: Set<string>;
  /** Takes an answer; true: no other one is waited for. */
  readonly take: (answer: Found | number) => boolean;
  /** Enough have answered. */
  readonly settle: () => void;
}

export class RedisRpc {
  readonly #nodeId: string;
  readonly #link: RedisLink;
  readonly #local: Local;
  readonly #asked = new Map<string, Asked>();

  /** `gate` is this gateway's own name. */
  constructor(gate: string, link: RedisLink, local: Local) {
    this.#nodeId = gate;
    this.#link = link;
    this.#local = local;
  }

  /** Does it here where the connection is here, else wherever it is. Rejects where someone who may have it does not answer. */
  async act(connection: string, act: Act): Promise<Found> {
    const errand = { ...act, connection };
    let found = this.#run(errand) as Found;
    if (found !== null) return found;
    await this.#ask(errand, (answer) => {
      if (typeof answer !== 'number') found = answer;
      return found !== null;
    });
    return found;
  }

  /** Does it here and everywhere; rejects where someone does not answer. */
  async revoke(revocation: Revocation, forMs: number): Promise<number> {
    const errand: RemoteCommand = { kind: 'revoke', revocation, forMs };
    let closed = this.#local.revoke(revocation, forMs);
    await this.#ask(errand, (answer) => {
      if (typeof answer === 'number') closed += answer;
      return false;
    });
    return closed;
  }

  /** Another gateway asks. */
  answer(question: Question): void {
    const reply = formatReply(question, this.#nodeId, this.#run(question.errand));
    // Who asked gives up by itself where the answer is lost.
    this.#link.run('reply', question.from, reply).catch(ignore);
  }

  /** Another gateway has answered. */
  answered(id: string, from: string, answer: Found | number): void {
    const asked = this.#asked.get(id);
    if (!asked) return;
    asked.answered.add(from);
    asked.left?.delete(from);
    if (asked.take(answer) || asked.left?.size === 0) asked.settle();
  }

  #ask(errand: RemoteCommand, take: Asked['take']): Promise<void> {
    const question: Question = { id: randomUUID(), from: this.#nodeId, errand };
    return new Promise((resolve, reject) => {
      const end = (act: () => void): void => {
        clearTimeout(timer);
        this.#asked.delete(question.id);
        act();
      };
      const timer = setTimeout(() => {
        end(() => reject(new BrokerError('unavailable', 'a gateway does not answer')));
      }, REPLY_TIMEOUT_MS);
      const asked: Asked = { left: null, answered: new Set(), take, settle: () => end(resolve) };
      this.#asked.set(question.id, asked);
      this.#link.run('ask', this.#nodeId, formatQuestion(question)).then(
        (gates) => {
          asked.left = new Set((gates as string[]).filter((gate) => !asked.answered.has(gate)));
          if (asked.left.size === 0) asked.settle();
        },
        (error: unknown) => end(() => reject(error)),
      );
    });
  }

  #run(errand: RemoteCommand): Found | number {
    if (errand.kind === 'revoke') return this.#local.revoke(errand.revocation, errand.forMs);
    const found = this.#local.reach(errand.connection);
    if (!found) return null;
    if (errand.kind === 'describe') return found.describe();
    if (errand.kind === 'send') found.send(errand.type, Buffer.from(errand.data, 'base64'));
    if (errand.kind === 'close') found.close(errand.code, errand.reason);
    return true;
  }
}
