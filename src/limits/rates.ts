// Takes tokens of all the limits that a request is under, or of none: a request that one refuses takes nothing of the
// others. Where limits are shared, the tokens are then taken from the buckets that all gateways share.
import type { Limiter } from './limiter.ts';

/** A limit of a request, and the client it is for. */
export interface RateRequest {
  readonly limiter: Limiter;
  readonly client: string;
}

/** The limit that had no token, and in how many milliseconds it has one. */
export interface RateWait {
  readonly request: RateRequest;
  readonly waitMs: number;
}

/** The buckets that several gateways share. */
export interface SharedRates {
  /** Whether it is available; where not, take() is of no use. */
  readonly up: boolean;
  /**
   * Takes a token for each, in their order, or none at all where one of them has none. `unknown` where it does not
   * answer in time: then the local buckets decide. Never rejects.
   */
  take(requests: readonly RateRequest[]): Promise<RateWait | 'taken' | 'unknown'>;
}

/**
 * Takes a token of each limit; null where all had one. `now` in milliseconds of a clock that never goes back. What is
 * taken of a shared limit is taken here too: one gateway must not take more than all may, a bucket that is empty here
 * costs no round trip, and while the shared buckets are unavailable each gateway goes on from its own.
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
