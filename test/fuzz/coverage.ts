// Which parts of src have run, from V8's own block coverage of this very process: what guides the search, without an
// instrumented build. Not for use while coverage of the tests is measured: taking counts sets them back.
import { type Profiler, Session } from 'node:inspector';

/** A character of src, by script and offset: V8 cuts blocks differently from time to time, characters stay. */
export type Place = number;

export interface Coverage {
  /** Which of these places have run since the last call. */
  take(of: ReadonlySet<Place>): Place[];
  /** What has run since the last call and never was given before. */
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

  /** For each script that ran, which of its characters did. */
  function ran(): Map<number, Uint8Array> {
    const offsets = new Map<number, Uint8Array>();
    for (const { url, functions } of counts(session)) {
      if (!/\/src\/[^?]*\.ts/.test(url)) continue;
      const script = scripts.get(url) ?? scripts.size;
      scripts.set(url, script);
      offsets.set(script, offsetsOf(functions));
    }
    return offsets;
  }
  return {
    size: () => seen.size,
    close: () => session.disconnect(),
    take(of) {
      const offsets = ran();
      return [...of].filter((place) => offsets.get(Math.floor(place / PLACES))?.[place % PLACES] === 1);
    },
    takeNew() {
      const fresh: Place[] = [];
      for (const [script, offsets] of ran()) {
        for (let offset = offsets.indexOf(1); offset !== -1; offset = offsets.indexOf(1, offset + 1)) {
          const place = script * PLACES + offset;
          if (seen.has(place)) continue;
          seen.add(place);
          fresh.push(place);
        }
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
