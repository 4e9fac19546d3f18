// What a handshake holds, and then its session: its permit, and the lease of its server. Whoever acquires one puts it in
// here, and nobody else releases it: the pipeline does at the end of a handshake that opened no session (handshakes.ts),
// else the session does at its own (sessions/live.ts).
import type { Permit } from '../limits/permit.ts';
import type { Lease } from '../upstream/lease.ts';

export class HandshakeResources {
  #permit: Permit | null = null;
  #lease: Lease | null = null;
  #handedOver = false;

  /** Holds what the client takes of the limits of live sessions; called once. */
  holdPermit(permit: Permit): void {
    this.#permit = permit;
  }

  /** Holds the server that is asked now; the one before it is released. */
  holdLease(lease: Lease): void {
    this.#lease?.release();
    this.#lease = lease;
  }

  /** A session has opened: it releases everything at its end. */
  handOver(): void {
    this.#handedOver = true;
  }

  /** The handshake is over: releases everything, unless a session has it. */
  endHandshake(): void {
    if (!this.#handedOver) this.release();
  }

  /** Releases everything; further calls do nothing. */
  release(): void {
    const lease = this.#lease;
    const permit = this.#permit;
    this.#lease = null;
    this.#permit = null;
    try {
      lease?.release();
    } finally {
      permit?.release();
    }
  }
}
