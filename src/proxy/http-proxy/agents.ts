// Connections to servers that are kept for the next request, apart by how TLS is spoken: one that was opened by other rules
// (another authority, another client certificate) is none to use.
import type { Agent } from 'node:http';
import { type AgentOptions, Agent as SecureAgent } from 'node:https';
import type { Duplex } from 'node:stream';
import type { Endpoint } from '../../net/endpoint.ts';

export class Agents {
  readonly #plain: Agent;
  readonly #secure = new Map<string, SecureAgent>();
  readonly #options: AgentOptions;

  /** `plain` is for connections without TLS; the others are made with these options, as they are needed. */
  constructor(plain: Agent, options: AgentOptions) {
    this.#plain = plain;
    this.#options = options;
  }

  for({ secure, tls }: Endpoint): Agent {
    if (!secure) return this.#plain;
    const id = tls?.id ?? '';
    const known = this.#secure.get(id);
    if (known !== undefined) return known;
    const agent = new SecureAgent({ ...this.#options, ...tls?.options });
    this.#secure.set(id, agent);
    return agent;
  }

  /** Ends idle connections; from now on one that becomes free is ended in place of being kept. */
  close(): void {
    for (const agent of [this.#plain, ...this.#secure.values()]) {
      agent.maxFreeSockets = 0;
      for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
    }
  }
}

/** Agents of one client each: what authenticates a connection is that client's, and its connections end with it. */
export class ClientAgents {
  readonly #of = new Map<Duplex, Agents>();
  readonly #make: () => Agents;

  constructor(make: () => Agents) {
    this.#make = make;
  }

  /** The client's; null where it has none, and `wanted` does not ask for them. */
  for(client: Duplex, wanted: boolean): Agents | null {
    const known = this.#of.get(client);
    if (known !== undefined || !wanted || client.destroyed) return known ?? null;
    const agents = this.#make();
    this.#of.set(client, agents);
    client.once('close', () => {
      this.#of.delete(client);
      agents.close();
    });
    return agents;
  }

  close(): void {
    for (const agents of this.#of.values()) agents.close();
  }
}
