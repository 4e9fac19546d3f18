// A start that can't be, and parts that are there once it has been.
import type { Sampler } from '../events.ts';

/** Its message is for the operator, whole. */
export class StartError extends Error {}

/** Ends the start with this reason. */
export function fail(reason: unknown): never {
  throw new StartError(reason instanceof Error ? reason.message : String(reason));
}

/** A part that is made at the start. */
export function served<T>(part: T | null): T {
  if (part === null) throw new Error('nothing is served yet');
  return part;
}

/** What such a part has to tell, once it is there. */
export function sampled(part: () => Sampler | null | undefined): Sampler {
  return { sample: () => part()?.sample() ?? [] };
}
