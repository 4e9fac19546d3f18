// Takes tokens of all the limits that a request is under, or of none: whoever is refused by one has cost the others
// nothing. Where limits are shared, the tokens are then asked for again of what all gateways share.
import type { Limiter } from './limiter.ts';

/** A limit that a request is under, and who asks. */
export interface RateRequest {
  readonly limiter: Limiter;
  readonly client: string;
}

/** The limit that had no token, and in how many milliseconds it has one. */
export interface RateWait {
  readonly request: RateRequest;
  readonly waitMs: number;
}

/** What several gateways share. */
export interface SharedRates {
  /** Whether it can be asked; asking is pointless where not. */
  readonly up: boolean;
  /**
   * Takes a token for each, in their order, or none at all where one of them has none. `unknown` where it does not answer
   * at once: then what is known here must do. Never rejects.
   */
  take(requests: readonly RateRequest[]): Promise<RateWait | 'taken' | 'unknown'>;
}

/**
 * Takes a token of each limit; null where all had one. `now` in milliseconds of a clock that never goes back. What is
 * taken of a shared limit is taken here too: a gateway alone must not take more than all may, whoever it has emptied here
 * costs no question, and while the others are out of reach each goes on from what it knows.
 */
export function takeRates(
  requests: readonly RateRequest[],
  shared: SharedRates | null,
  now: number,
): RateWait | null | Promise<RateWait | null> {
  for (const request of requests) {
    const waitMs = request.limiter.wait(request.client, now);
    if (waitMs > 0) return { request, waitMs };
  }
  for (const { limiter, client } of requests) limiter.take(client, now);
  return shared?.up && requests.length > 0 ? takeShared(requests, shared, now) : null;
}

async function takeShared(
  requests: readonly RateRequest[],
  shared: SharedRates,
  now: number,
): Promise<RateWait | null> {
  const answer = await shared.take(requests);
  if (typeof answer === 'string') return null;
  for (const { limiter, client } of requests) limiter.refund(client, now);
  answer.request.limiter.empty(answer.request.client, now, answer.waitMs);
  return answer;
}
