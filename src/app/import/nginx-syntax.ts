// The syntax of nginx.conf: directives of words that end with `;` or hold a block. What they mean is nginx.ts.
import { lookupTable } from '../../base/lookup-table.ts';
import { ImportError } from './draft.ts';

export interface Directive {
  readonly name: string;
  readonly args: readonly string[];
  readonly line: number;
  /** Null where it has none. */
  readonly block: readonly Directive[] | null;
}

/** Deeper than any config is. */
const MAX_DEPTH = 50;

interface Token {
  readonly text: string;
  readonly line: number;
  /** One of `;`, `{` and `}`, not in quotes. */
  readonly mark: boolean;
}

/** The directives of an nginx config as a tree. Throws an ImportError with the line of what is none. */
export function parseNginx(text: string): Directive[] {
  const tokens = [...tokensOf(text)];
  const { directives, next } = readBlock(tokens, 0, 0);
  const stray = tokens[next];
  if (stray !== undefined) throw new ImportError(`line ${stray.line}: a "}" too many`);
  return directives;
}

function readBlock(tokens: readonly Token[], from: number, depth: number): { directives: Directive[]; next: number } {
  if (depth > MAX_DEPTH) throw new ImportError(`line ${tokens[from]?.line}: blocks are nested too deep`);
  const directives: Directive[] = [];
  let words: Token[] = [];
  let i = from;
  for (; i < tokens.length; i++) {
    const token = tokens[i] as Token;
    if (!token.mark) {
      words.push(token);
      continue;
    }
    if (token.text === '}') break;
    const [name, ...args] = words;
    if (name === undefined) throw new ImportError(`line ${token.line}: nothing stands before "${token.text}"`);
    words = [];
    const directive = { name: name.text, args: args.map(({ text }) => text), line: name.line };
    if (token.text === ';') {
      directives.push({ ...directive, block: null });
      continue;
    }
    const inner = readBlock(tokens, i + 1, depth + 1);
    if (tokens[inner.next] === undefined)
      throw new ImportError(`line ${name.line}: the block of "${name.text}" does not end`);
    directives.push({ ...directive, block: inner.directives });
    i = inner.next;
  }
  const [left] = words;
  if (left !== undefined) throw new ImportError(`line ${left.line}: "${left.text}" does not end with ";"`);
  return { directives, next: i };
}

/** Words, quoted ones without their quotes, and marks; comments and blanks are left out. */
const TOKEN = /(#[^\n]*)|(\n)|([;{}])|"((?:[^"\\]|\\[\s\S])*)"|'((?:[^'\\]|\\[\s\S])*)'|((?:\$\{|\\[\s\S]|[^\s;{}])+)/g;

/** What nginx makes of these in quotes. */
const ESCAPES: Readonly<Record<string, string>> = lookupTable({ n: '\n', r: '\r', t: '\t' });

function* tokensOf(text: string): Iterable<Token> {
  let line = 1;
  for (const match of text.matchAll(TOKEN)) {
    const [whole, comment, newline, mark, double, single, word] = match;
    if (newline !== undefined) line++;
    else if (comment === undefined) {
      const quoted = double ?? single;
      const raw =
        mark ??
        (quoted === undefined
          ? word
          : quoted.replace(/\\(["'\\nrt])/g, (_, escaped: string) => ESCAPES[escaped] ?? escaped));
      yield { text: raw ?? whole, line, mark: mark !== undefined };
      line += quoted === undefined ? 0 : whole.split('\n').length - 1;
    }
  }
}
