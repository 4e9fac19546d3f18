// A value that costs something to make, and is not always needed.

/** Gives the value, made at the first call; what `make` throws is thrown, and it is tried again at the next call. */
export function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
