// Which parts of src have run, from V8's own block coverage of this very process: what guides the search, without an
// instrumented build. Not for use while coverage of the tests is measured: taking counts sets them back.
import { type Profiler, Session } from 'node:inspector';

/** A character of src, by script and offset: V8 cuts blocks differently from time to time, characters stay. */
export type Place = number;

export interface Coverage {
  /** What has run since the last call; `of` limits it to these places. */
  take(of?: ReadonlySet<Place>): Place[];
  /** As take(), but only what no call has given before. */
  takeNew(): Place[];
  /** How many characters have run. */
  size(): number;
  close(): void;
}

const PLACES = 2 ** 24;

export function openCoverage(): Coverage {
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  const scripts = new Map<string, number>();
  const seen = new Set<Place>();

  function* ran(): Iterable<Place> {
    for (const { url, functions } of counts(session)) {
      if (!/\/src\/[^?]*\.ts/.test(url)) continue;
      const script = scripts.get(url) ?? scripts.size;
      scripts.set(url, script);
      const offsets = offsetsOf(functions);
      for (const [offset, did] of offsets.entries()) if (did === 1) yield script * PLACES + offset;
    }
  }
  return {
    size: () => seen.size,
    close: () => session.disconnect(),
    take: (of) => [...ran()].filter((place) => of === undefined || of.has(place)),
    takeNew() {
      const fresh: Place[] = [];
      for (const place of ran()) {
        if (seen.has(place)) continue;
        seen.add(place);
        fresh.push(place);
      }
      return fresh;
    },
  };
}

function counts(session: Session): readonly Profiler.ScriptCoverage[] {
  let result: readonly Profiler.ScriptCoverage[] = [];
  // In one process the answer comes before post() returns.
  session.post('Profiler.takePreciseCoverage', (error, answer) => {
    if (error) throw error;
    result = answer.result;
  });
  return result;
}

/** Functions come outer first, and so do the ranges of each: the innermost that holds a character says whether it ran. */
function offsetsOf(functions: readonly Profiler.FunctionCoverage[]): Uint8Array {
  const ranges = functions.flatMap((of) => of.ranges);
  const offsets = new Uint8Array(ranges.reduce((most, { endOffset }) => Math.max(most, endOffset), 0));
  for (const { startOffset, endOffset, count } of ranges) offsets.fill(count > 0 ? 1 : 0, startOffset, endOffset);
  return offsets;
}
