// Text that outlives what it was cut from.

/** V8 copies a shorter part, and makes a longer one a reference into the whole. */
const SHORTEST_REFERENCE = 13;

/**
 * The same text in memory of its own. A part of a request head keeps the whole head in memory as long as it lives itself, with
 * cookies and credentials; this does not.
 */
export function ownText(text: string): string {
  if (text.length < SHORTEST_REFERENCE) return text;
  const own = (text[0] as string) + text.slice(1);
  flatten(own);
  return own;
}

/** Makes text that was put together one piece of memory, and lets go of what it was put together from. */
export function flatten(text: string): void {
  // The cheapest of what needs it in one piece: a tenth of a microsecond.
  Number(text);
}
