// "Did you mean ...?": the known word closest to a mistyped one. Pure; only for hints, nothing is decided by it.

/** The candidate that `word` most likely means, or undefined where none is near. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const folded = fold(word);
  // A third of the letters may be wrong, and always one.
  let best = Math.max(1, Math.floor(folded.length / 3)) + 1;
  let found: string | undefined;
  for (const candidate of candidates) {
    const apart = distance(folded, fold(candidate));
    // A word shorter than its mistakes has nothing in common with the candidate.
    if (apart >= best || apart >= folded.length) continue;
    best = apart;
    found = candidate;
  }
  return found;
}

/** Whether two words are the same but for their spelling, or for being one and many (`origin`, `origins`). */
export function isSameWord(one: string, other: string): boolean {
  const [first, second] = [fold(one), fold(other)];
  return first === second || first === `${second}s` || `${first}s` === second;
}

/** Case, `-` and `_` are no difference: `keepAlive` and `keep-alive` are `keep_alive`. */
function fold(word: string): string {
  return word
    .slice(0, 64)
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, '');
}

/** Edits between two words: insert, delete, replace, or swap two neighbours. */
export function distance(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1];
      const edits = [(last[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1, (last[column - 1] ?? 0) + (same ? 0 : 1)];
      const swapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (swapped) edits.push((beforeLast[column - 2] ?? 0) + 1);
      current.push(Math.min(...edits));
    }
    beforeLast = last;
    last = current;
  }
  return last[to.length] ?? 0;
}
