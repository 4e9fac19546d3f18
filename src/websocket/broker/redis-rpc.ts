// Reaching what other gateways hold: all living ones are asked, and the one that has a connection answers, or all of them
// do their part. Nothing is written down for it, so that opening and closing connections costs Redis nothing.

import { randomUUID } from 'node:crypto';
import { ignore } from '../../base/guard.ts';
import type { Revocation } from '../../sessions/revocations.ts';
import { BrokerError, type Local } from './broker.ts';
import type { RedisLink } from './redis-link.ts';
import {
  type Act,
  formatCall,
  formatReply,
  type RemoteCall,
  type RemoteCommand,
  type RemoteResult,
} from './redis-wire.ts';

/** How long the others may take to answer. */
const REPLY_TIMEOUT_MS = 2000;

interface PendingCall {
  /** Gateways that have not answered; null until it is known who was asked. */
  outstanding: Set<string> | null;
  readonly answered: Set<string>;
  /** Takes an answer; true: no other one is waited for. */
  readonly take: (answer: RemoteResult | number) => boolean;
  /** Enough have answered. */
  readonly settle: () => void;
}

export class RedisRpc {
  readonly #nodeId: string;
  readonly #link: RedisLink;
  readonly #local: Local;
  readonly #pending = new Map<string, PendingCall>();

  /** `gate` is this gateway's own name. */
  constructor(nodeId: string, link: RedisLink, local: Local) {
    this.#nodeId = nodeId;
    this.#link = link;
    this.#local = local;
  }

  /** Does it here where the connection is here, else wherever it is. Rejects where someone who may have it does not answer. */
  async act(connection: string, act: Act): Promise<RemoteResult> {
    const command = { ...act, connection };
    let found = this.#run(command) as RemoteResult;
    if (found !== null) return found;
    await this.#ask(command, (answer) => {
      if (typeof answer !== 'number') found = answer;
      return found !== null;
    });
    return found;
  }

  /** Does it here and everywhere; rejects where someone does not answer. */
  async revoke(revocation: Revocation, forMs: number): Promise<number> {
    const command: RemoteCommand = { kind: 'revoke', revocation, forMs };
    let closed = this.#local.revoke(revocation, forMs);
    await this.#ask(command, (answer) => {
      if (typeof answer === 'number') closed += answer;
      return false;
    });
    return closed;
  }

  /** Another gateway asks. */
  answer(call: RemoteCall): void {
    const reply = formatReply(call, this.#nodeId, this.#run(call.errand));
    // Who asked gives up by itself where the answer is lost.
    this.#link.run('reply', call.from, reply).catch(ignore);
  }

  /** Another gateway has answered. */
  answered(id: string, from: string, answer: RemoteResult | number): void {
    const call = this.#pending.get(id);
    if (!call) return;
    call.answered.add(from);
    call.outstanding?.delete(from);
    if (call.take(answer) || call.outstanding?.size === 0) call.settle();
  }

  #ask(command: RemoteCommand, take: PendingCall['take']): Promise<void> {
    const request: RemoteCall = { id: randomUUID(), from: this.#nodeId, errand: command };
    return new Promise((resolve, reject) => {
      const end = (act: () => void): void => {
        clearTimeout(timer);
        this.#pending.delete(request.id);
        act();
      };
      const timer = setTimeout(() => {
        end(() => reject(new BrokerError('unavailable', 'a gateway does not answer')));
      }, REPLY_TIMEOUT_MS);
      const call: PendingCall = { outstanding: null, answered: new Set(), take, settle: () => end(resolve) };
      this.#pending.set(request.id, call);
      this.#link.run('ask', this.#nodeId, formatCall(request)).then(
        (nodeIds) => {
          call.outstanding = new Set((nodeIds as string[]).filter((nodeId) => !call.answered.has(nodeId)));
          if (call.outstanding.size === 0) call.settle();
        },
        (error: unknown) => end(() => reject(error)),
      );
    });
  }

  #run(command: RemoteCommand): RemoteResult | number {
    if (command.kind === 'revoke') return this.#local.revoke(command.revocation, command.forMs);
    const found = this.#local.reach(command.connection);
    if (!found) return null;
    if (command.kind === 'describe') return found.describe();
    if (command.kind === 'send') found.send(command.type, Buffer.from(command.data, 'base64'));
    if (command.kind === 'close') found.close(command.code, command.reason);
    return true;
  }
}
