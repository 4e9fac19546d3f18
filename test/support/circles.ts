// Circles of imports: files of different folders that can't be read one without the other.
import { dirname } from 'node:path';
import { importsOf, relative, type SourceFile, target } from './architecture.ts';

/** Circles in which files of two folders or more import one another, types included. */
export function checkCircles(files: readonly SourceFile[]): string[] {
  const imported = new Map(
    files.map((file) => {
      const paths = importsOf(file).filter(({ from }) => relative(from));
      return [file.path, paths.map(({ from }) => target(file, from))] as const;
    }),
  );
  const reached = new Map(files.map(({ path }) => [path, reachedFrom(path, imported)] as const));
  return files.flatMap(({ path }) => {
    const circle = [...(reached.get(path) ?? [])].filter((other) => reached.get(other)?.has(path) === true);
    // Told once: by the first of its files.
    if (circle.toSorted()[0] !== path || new Set(circle.map(dirname)).size < 2) return [];
    return [`${circle.toSorted().join(' and ')} import one another`];
  });
}

/** What a file imports, itself or by others; the file itself only where it is in a circle. */
function reachedFrom(path: string, imported: ReadonlyMap<string, readonly string[]>): Set<string> {
  const reached = new Set<string>();
  const next = [path];
  for (let at = next.pop(); at !== undefined; at = next.pop()) {
    for (const one of imported.get(at) ?? []) {
      if (reached.has(one)) continue;
      reached.add(one);
      next.push(one);
    }
  }
  return reached;
}
