// How large V8's heap may grow with what lives for long.
import { getHeapStatistics } from 'node:v8';

/** The most that V8 sets aside for what is young: three semi-spaces of 64 MiB (node 24; other versions take less). */
const YOUNG = 3 * 64 * 1024 * 1024;

/**
 * Bytes of the heap for what lives longer than a few collections. V8's limit counts the young generation in, whose size it
 * does not tell: under `--max-old-space-size=64` the limit is 112 to 256 MiB, by node's version.
 */
export function oldGenerationLimit(): number {
  const limit = getHeapStatistics().heap_size_limit;
  return Math.floor(Math.max(limit - YOUNG, limit / 4));
}
