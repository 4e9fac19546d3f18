// Text to YAML nodes, with what is no YAML put into words an operator can act on. The nodes' meaning is document.ts's.
import { Composer, CST, type Document, type ErrorCode, LineCounter, Parser } from 'yaml';

/** Something wrong at an offset of the text. */
export interface TextFault {
  readonly offset: number;
  readonly severity: 'error' | 'warning';
  readonly message: string;
  readonly hint?: string;
}

export interface YamlText {
  /** The one document; null where the text is not YAML that can be read on. */
  readonly document: Document.Parsed | null;
  readonly faults: readonly TextFault[];
  /** Line and column, both from 1, of an offset. */
  position(offset: number): { readonly line: number; readonly column: number };
}

/** The composer calls itself for each level; far deeper than any config, and far from the end of the stack. */
const DEEPEST = 64;

interface Wording {
  readonly code: ErrorCode;
  /** What the library's message is like, where one code has several meanings. */
  readonly like?: RegExp;
  readonly message: string;
  readonly hint: string;
}

/** What is wrong with a `*` that stands alone. */
export const BARE_STAR = 'a "*" outside of quotes begins an alias of YAML';

const WORDINGS: readonly Wording[] = [
  { code: 'BAD_ALIAS', like: /empty/, message: BARE_STAR, hint: 'put it in quotes' },
  { code: 'TAB_AS_INDENT', message: 'a tab in the indentation', hint: 'indent with spaces' },
  {
    code: 'BAD_SCALAR_START',
    message: 'a value cannot begin with this character',
    hint: 'put the value in quotes',
  },
  {
    code: 'BLOCK_AS_IMPLICIT_KEY',
    message: 'a second key in the same value',
    hint: 'put a value that holds ": " in quotes; a nested key goes on a line of its own, indented deeper',
  },
  {
    code: 'MULTILINE_IMPLICIT_KEY',
    message: 'a key must stand on one line, with a ":" behind it',
    hint: 'is a ":" missing, or is the indentation wrong?',
  },
  {
    code: 'BAD_INDENT',
    like: /^Flow seq/,
    message: 'a "[" without its "]"',
    hint: 'close it, and indent the lines in between deeper than the key',
  },
  {
    code: 'BAD_INDENT',
    like: /^Flow map/,
    message: 'a "{" without its "}"',
    hint: 'close it, and indent the lines in between deeper than the key',
  },
  { code: 'BAD_INDENT', like: /^All /, message: 'wrong indentation', hint: 'keys of one map begin in one column' },
  {
    code: 'MISSING_CHAR',
    like: /^Missing closing/,
    message: 'quotes that are not closed',
    hint: "a quote inside of quotes is \\\" in \"...\" and '' in '...'",
  },
  {
    code: 'UNEXPECTED_TOKEN',
    like: /seq-item-ind|block-seq-ind/,
    message: 'a list entry where none can stand',
    hint: 'the entries of one list begin in one column, each on a line of its own',
  },
  {
    code: 'MISSING_CHAR',
    like: /^Sequence item without/,
    message: 'a key between the entries of a list',
    hint: 'indent it as deep as the first key of its entry, or begin a new entry with "- "',
  },
  {
    code: 'UNEXPECTED_TOKEN',
    like: /at node end$/,
    message: 'text behind the end of the value',
    hint: 'put the whole value in quotes',
  },
  {
    code: 'UNEXPECTED_TOKEN',
    like: /flow-(?:map|seq)-end/,
    message: 'a bracket that closes nothing',
    hint: 'take it out, or put the value in quotes',
  },
  { code: 'NON_STRING_KEY', message: 'a key must be plain text', hint: 'lists and maps can only be values' },
  {
    code: 'TAG_RESOLVE_FAILED',
    message: 'a tag that does not fit its value, or is not known',
    hint: 'leave the tag out',
  },
  { code: 'BAD_DIRECTIVE', message: 'a directive that has no meaning here', hint: 'take it out' },
];

const OPTIONS = {
  version: '1.2',
  schema: 'core',
  merge: false,
  resolveKnownTags: false,
  strict: true,
  stringKeys: true,
  // document.ts finds duplicates, as it knows the path and the first of the two.
  uniqueKeys: false,
  prettyErrors: false,
} as const;

/** Reads the text as one YAML 1.2 document of the core schema. Never throws. */
export function readYaml(text: string): YamlText {
  const lines = countLines(text);
  // The parser is iterative and takes any depth; the composer is not, so the depth is measured in between.
  const tokens = [...new Parser().parse(text)];
  const position = (offset: number) => {
    const { line, col } = lines.linePos(Math.min(Math.max(offset, 0), text.length));
    const mark = line === 1 && text.startsWith('\uFEFF') ? 1 : 0;
    return { line, column: Math.max(col - mark, 1) };
  };
  const tooDeep = findDeeper(tokens, DEEPEST);
  if (tooDeep !== undefined) {
    const message = `nested deeper than ${DEEPEST} levels`;
    return { document: null, faults: [{ offset: tooDeep, severity: 'error', message }], position };
  }

  const [document, second] = [...new Composer(OPTIONS).compose(tokens, true, text.length)];
  if (document === undefined) return { document: null, faults: [], position };
  // What the parser cannot place after a first error is that error's doing.
  const causes = document.errors.filter((error, index) => index === 0 || !error.message.includes('in YAML stream'));
  const readable = second === undefined && document.errors.every(isReadable);
  // document.ts finds an alias without a name too, and knows at which key.
  const untold = readable ? causes.filter((error) => !isBareStar(error)) : causes;
  const faults: TextFault[] = untold.map((error) => faultOf(error, text));
  for (const warning of document.warnings) {
    const severity = warning.code === 'BAD_DIRECTIVE' ? 'warning' : 'error';
    faults.push({ ...faultOf(warning, text), severity });
  }
  if (second !== undefined) {
    const message = 'a second document in the file';
    faults.push({ offset: second.range[0], severity: 'error', message, hint: 'take out the "---" or "..." before it' });
  }
  // One fault breaks what follows it on the line: the first says it best.
  const firsts = new Map(faults.toReversed().map((fault) => [position(fault.offset).line, fault]));
  return { document: readable ? (document as Document.Parsed) : null, faults: [...firsts.values()], position };
}

/** The parser could feed the counter, but leaves out line breaks within what it cannot place (yaml 2.9.1). */
function countLines(text: string): LineCounter {
  const lines = new LineCounter();
  lines.addNewLine(0);
  for (const { index } of text.matchAll(/\n/g)) lines.addNewLine(index + 1);
  return lines;
}

interface YamlError {
  readonly code: ErrorCode;
  readonly message: string;
}

/** Whether the rest of the text can be read all the same. */
function isReadable(error: YamlError): boolean {
  return error.code === 'TAG_RESOLVE_FAILED' || isBareStar(error);
}

function isBareStar({ code, message }: YamlError): boolean {
  return code === 'BAD_ALIAS' && /empty/.test(message);
}

function faultOf(error: { code: ErrorCode; message: string; pos: [number, number] }, text: string): TextFault {
  const [offset] = error.pos;
  const reworded = WORDINGS.find(({ code, like }) => code === error.code && (like?.test(error.message) ?? true));
  const message = reworded?.message ?? plainMessage(error.message);
  const start = text.lastIndexOf('\n', offset - 1) + 1;
  const [line = ''] = text.slice(start, start + 1000).split('\n');
  const inFlow = error.code === 'UNEXPECTED_TOKEN' || error.code === 'BAD_INDENT' || error.code === 'MISSING_CHAR';
  const hint =
    inFlow && line.includes('${')
      ? `inside { } and [ ] a \${...} must stand in quotes; to get a number, give the value a line of its own`
      : reworded?.hint;
  return { offset, severity: 'error', message, ...(hint === undefined ? {} : { hint }) };
}

/** The library's message without the source it may quote, which may be a secret. */
function plainMessage(message: string): string {
  const [first = ''] = message.split(/: "|\n/, 1);
  return `not YAML: ${first}`;
}

/** The offset of the first token nested deeper than `limit`, or undefined. */
function findDeeper(tokens: readonly CST.Token[], limit: number): number | undefined {
  const open = tokens.map((token) => ({ token, depth: 0 }));
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { token, depth } = next;
    if (depth > limit) return token.offset;
    for (const child of childrenOf(token)) open.push({ token: child, depth: depth + 1 });
  }
  return undefined;
}

function childrenOf(token: CST.Token): CST.Token[] {
  if (token.type === 'document') return token.value === undefined ? [] : [token.value];
  if (!CST.isCollection(token)) return [];
  return token.items.flatMap((item) => [item.key, item.value]).filter((child) => child != null);
}
