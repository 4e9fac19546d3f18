// Tables that are asked for words which others have chosen.

/** The table without what every object has from its prototype: `constructor` is no entry of it. */
export function lookupTable<T>(entries: Readonly<Record<string, T>>): Readonly<Record<string, T>> {
  return Object.freeze(Object.assign(Object.create(null) as Record<string, T>, entries));
}
