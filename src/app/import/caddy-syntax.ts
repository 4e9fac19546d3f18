// The syntax of a Caddyfile: lines of words, some with a block. Snippets without arguments are put in where they are imported.
// What the words mean is caddy.ts.
import { ImportError } from './draft.ts';

export interface CaddyLine {
  readonly words: readonly string[];
  readonly line: number;
  /** Null where it has none. */
  readonly block: readonly CaddyLine[] | null;
}

/** Deeper than any config is; a snippet that imports itself goes no deeper either. */
const MAX_DEPTH = 20;
/** Lines after snippets have been put in. */
const MAX_LINES = 100_000;

/** The lines of a Caddyfile as a tree, snippets put in. Throws an ImportError with the line of what is no Caddyfile. */
export function parseCaddyfile(text: string): CaddyLine[] {
  const rows = rowsOf(text);
  const { lines, next } = readBlock(rows, 0, 0);
  const stray = rows[next];
  if (stray !== undefined) throw new ImportError(`line ${stray.line}: a "}" too many`);
  const snippets = new Map<string, readonly CaddyLine[]>();
  const rest: CaddyLine[] = [];
  for (const each of lines) {
    const [, name] = /^\((.+)\)$/.exec(each.words[0] ?? '') ?? [];
    if (name === undefined) rest.push(each);
    else snippets.set(name, each.block ?? []);
  }
  const budget = { left: MAX_LINES };
  return rest.flatMap((each) => expand(each, snippets, { budget, depth: 0 }));
}

interface Row {
  readonly words: readonly string[];
  readonly line: number;
}

function readBlock(rows: readonly Row[], from: number, depth: number): { lines: CaddyLine[]; next: number } {
  if (depth > MAX_DEPTH) throw new ImportError(`line ${rows[from]?.line}: blocks are nested too deep`);
  const lines: CaddyLine[] = [];
  let i = from;
  for (; i < rows.length; i++) {
    const { words, line } = rows[i] as Row;
    if (words.length === 1 && words[0] === '}') break;
    if (words.at(-1) !== '{') {
      lines.push({ words, line, block: null });
      continue;
    }
    const inner = readBlock(rows, i + 1, depth + 1);
    if (rows[inner.next] === undefined) throw new ImportError(`line ${line}: the block does not end`);
    lines.push({ words: words.slice(0, -1), line, block: inner.lines });
    i = inner.next;
  }
  return { lines, next: i };
}

interface Expansion {
  readonly budget: { left: number };
  readonly depth: number;
}

function expand(
  each: CaddyLine,
  snippets: ReadonlyMap<string, readonly CaddyLine[]>,
  { budget, depth }: Expansion,
): CaddyLine[] {
  if (budget.left-- <= 0 || depth > MAX_DEPTH) throw new ImportError(`line ${each.line}: snippets import too much`);
  const [word, name = ''] = each.words;
  const snippet = word === 'import' ? snippets.get(name) : undefined;
  const deeper = { budget, depth: depth + 1 };
  if (snippet !== undefined) return snippet.flatMap((inner) => expand(inner, snippets, deeper));
  return [{ ...each, block: each.block?.flatMap((inner) => expand(inner, snippets, deeper)) ?? null }];
}

/** A quoted text, a newline with the blanks around it, a comment, or a word. */
const TOKEN = /"((?:[^"\\]|\\[\s\S])*)"|`([^`]*)`|(\\?\r?\n)|(#[^\n]*)|([^\s]+)/g;

function rowsOf(text: string): Row[] {
  const rows: Row[] = [];
  let words: string[] = [];
  let line = 1;
  let startedAt = 1;
  const end = (): void => {
    if (words.length > 0) rows.push({ words, line: startedAt });
    words = [];
  };
  for (const match of text.matchAll(TOKEN)) {
    const [whole, double, back, newline, comment, word] = match;
    if (newline !== undefined) {
      line++;
      // A backslash at its end goes on with the line.
      if (!newline.startsWith('\\')) end();
    } else if (comment === undefined) {
      if (words.length === 0) startedAt = line;
      words.push(double?.replace(/\\"/g, '"') ?? back ?? word ?? whole);
      line += word === undefined ? whole.split('\n').length - 1 : 0;
    }
  }
  end();
  return rows;
}
