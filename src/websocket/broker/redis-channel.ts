// A node's channel: parses each message, and acts on those that this version knows. No message can break the link.
import type { Sample } from '../../events.ts';
import { type Event, readEvent } from './redis-wire.ts';

export class RedisChannel {
  readonly #act: (event: Event) => void;
  readonly #onError: (error: unknown) => void;
  readonly #ignored = { unknown: 0, malformed: 0 };

  /** `onError` gets what `act` throws. */
  constructor(act: (event: Event) => void, onError: (error: unknown) => void) {
    this.#act = act;
    this.#onError = onError;
  }

  /** Never throws. */
  readonly receive = (text: string): void => {
    const event = readEvent(text);
    if (typeof event === 'string') {
      this.#ignored[event]++;
      return;
    }
    try {
      this.#act(event);
    } catch (error) {
      this.#onError(error);
    }
  };

  *sample(): Iterable<Sample> {
    for (const [reason, value] of Object.entries(this.#ignored))
      yield { metric: 'broker_events_ignored_total', labels: { reason }, value };
  }
}
