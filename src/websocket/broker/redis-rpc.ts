// Commands to other nodes (gateways). A command goes to all live nodes; the one that holds the connection replies, or
// all of them act. Redis stores nothing for it, so that opening and closing connections costs Redis nothing.

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

/** Milliseconds that other nodes have to reply. */
const REPLY_TIMEOUT_MS = 2000;

interface PendingCall {
  /** Nodes that have not replied; null until Redis has named the nodes that were called. */
  outstanding: Set<string> | null;
  readonly answered: Set<string>;
  /** Takes a reply; true: no further one is needed. */
  readonly take: (answer: RemoteResult | number) => boolean;
  /** Ends the call: enough replies have come. */
  readonly settle: () => void;
}

export class RedisRpc {
  readonly #nodeId: string;
  readonly #link: RedisLink;
  readonly #local: Local;
  readonly #pending = new Map<string, PendingCall>();

  /** `nodeId` is the id of this node. */
  constructor(nodeId: string, link: RedisLink, local: Local) {
    this.#nodeId = nodeId;
    this.#link = link;
    this.#local = local;
  }

  /**
   * Acts on a connection of this node, else on whichever node holds it. Null: no node does. Rejects with a BrokerError
   * where a node that may hold it does not reply.
   */
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

  /**
   * Revokes on this node and all others; resolves with the number of sessions closed. Rejects with a BrokerError where
   * a node does not reply.
   */
  async revoke(revocation: Revocation, forMs: number): Promise<number> {
    const command: RemoteCommand = { kind: 'revoke', revocation, forMs };
    let closed = this.#local.revoke(revocation, forMs);
    await this.#ask(command, (answer) => {
      if (typeof answer === 'number') closed += answer;
      return false;
    });
    return closed;
  }

  /** Runs a command of another node and replies. */
  answer(call: RemoteCall): void {
    const reply = formatReply(call, this.#nodeId, this.#run(call.command));
    // The caller times out by itself where the reply is lost.
    this.#link.run('reply', call.from, reply).catch(ignore);
  }

  /** Another node has replied. */
  answered(id: string, from: string, answer: RemoteResult | number): void {
    const call = this.#pending.get(id);
    if (!call) return;
    call.answered.add(from);
    call.outstanding?.delete(from);
    if (call.take(answer) || call.outstanding?.size === 0) call.settle();
  }

  #ask(command: RemoteCommand, take: PendingCall['take']): Promise<void> {
    const request: RemoteCall = { id: randomUUID(), from: this.#nodeId, command };
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
