// Notifies the running step of a request that its client has left. An AbortSignal would do the same, but needs an event
// target for each handshake.
import { GatewayError } from '../errors.ts';

/** Whether a client has left. It has one waiter at a time, because a handshake runs one step at a time. */
export class ClientClosed {
  #closed = false;
  #waiter: (() => void) | null = null;
  #controller: AbortController | null = null;

  /** Makes one that follows a signal. */
  static of(signal: AbortSignal): ClientClosed {
    const clientClosed = new ClientClosed();
    if (signal.aborted) clientClosed.notify();
    else signal.addEventListener('abort', () => clientClosed.notify(), { once: true });
    return clientClosed;
  }

  /** Whether the client has left. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Calls `waiter` when the client leaves, and not the previous waiter; null: no waiter. */
  onClosed(waiter: (() => void) | null): void {
    this.#waiter = waiter;
  }

  /** The same as an AbortSignal. */
  signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#closed) this.#controller.abort(clientClosedError());
    return this.#controller.signal;
  }

  /** The client has left; the first call counts. */
  notify(): void {
    if (this.#closed) return;
    this.#closed = true;
    const waiter = this.#waiter;
    this.#waiter = null;
    try {
      waiter?.();
    } finally {
      this.#controller?.abort(clientClosedError());
    }
  }
}

function clientClosedError(): GatewayError {
  return new GatewayError('client_gone', 'the client left');
}
