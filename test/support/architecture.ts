// What the source must keep to, read off its syntax trees: which layer may import which, where I/O may be, how long
// things may get. Each check takes files as values, so that it can be shown to catch what it is for.
import { parseAst } from 'vitest/node';

/** A file of src, its path from there: `routing/decide.ts`. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** A node of a syntax tree. */
export interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

interface Import {
  readonly from: string;
  /** Names taken as values; `*` for all of them, none for a type import. */
  readonly values: readonly string[];
}

/** Layers, lowest first; those in one row do not know each other. */
const LAYERS: readonly (readonly string[])[] = [
  ['base'],
  ['errors'],
  ['events'],
  ['config'],
  ['http'],
  ['handshake', 'net'],
  ['routing', 'upstream', 'relay'],
  ['proxy'],
  ['auth'],
  ['limits', 'sessions'],
  ['websocket'],
  ['actions'],
  ['runtime'],
  ['acme'],
  ['pipeline'],
  ['listen'],
  ['admin'],
  ['app'],
  ['main'],
];

/** Beside the layers: what these may import, and nobody but app imports them. */
const ASIDE: Readonly<Record<string, readonly string[]>> = {
  observe: ['base', 'events'],
  demo: ['config', 'events', 'errors'],
};

const PURE = ['config', 'http', 'handshake', 'routing'];
const IO =
  /^(node:)?(net|http|https|http2|tls|fs|fs\/promises|dns|dns\/promises|dgram|child_process|worker_threads)$|^ws$/;
/** Facts that live in node:net and touch no socket. */
const FACTS = ['isIP', 'isIPv4', 'isIPv6', 'BlockList', 'SocketAddress'];
const MAX_FILE_LINES = 300;
const MAX_FUNCTION_LINES = 60;
const MAX_PARAMETERS = 4;

/** Each file is looked at by many checks, and parsing is most of their time. */
const parsed = new WeakMap<SourceFile, Node>();

/** The syntax tree of a file. */
export function parse(file: SourceFile): Node {
  const known = parsed.get(file);
  if (known !== undefined) return known;
  const tree = parseAst(file.text, { lang: 'ts' }) as unknown as Node;
  parsed.set(file, tree);
  return tree;
}

/** Whether a value of a node is a node itself. */
export const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';

/** Every node of the tree, parents before children. */
export function* walk(node: Node): Iterable<Node> {
  yield node;
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) yield* walk(child);
  }
}

const lineOf = (file: SourceFile, offset: number): number => file.text.slice(0, offset).split('\n').length;

const literal = (node: unknown): string | undefined =>
  isNode(node) && typeof node['value'] === 'string' ? node['value'] : undefined;

/** What a file imports or re-exports, type imports and `import()` of both kinds included. */
export function importsOf(file: SourceFile): Import[] {
  const found: Import[] = [];
  for (const node of walk(parse(file))) {
    const from = literal(node['source']);
    if (from === undefined) continue;
    if (node.type === 'TSImportType' || node['importKind'] === 'type' || node['exportKind'] === 'type') {
      found.push({ from, values: [] });
    } else if (node.type === 'ImportDeclaration' || node.type === 'ExportNamedDeclaration') {
      const specifiers = node['specifiers'] as Node[];
      const values = specifiers.filter((one) => one['importKind'] !== 'type' && one['exportKind'] !== 'type');
      found.push({ from, values: specifiers.length === 0 ? ['*'] : values.map(importedName) });
    } else if (node.type === 'ExportAllDeclaration' || node.type === 'ImportExpression') {
      found.push({ from, values: ['*'] });
    }
  }
  return found;
}

function importedName(specifier: Node): string {
  const name = specifier['imported'] ?? specifier['local'];
  if (specifier.type === 'ImportDefaultSpecifier' || specifier.type === 'ImportNamespaceSpecifier') return '*';
  return isNode(name) ? String(name['name'] ?? name['value']) : '*';
}

/** The layer of a file: its folder, or its own name at the top. */
const layerOf = (path: string): string => (path.includes('/') ? path.split('/')[0]! : path.replace(/\.ts$/, ''));

const rank = (layer: string): number => LAYERS.findIndex((row) => row.includes(layer));

/** The file that a relative import names. */
export function target(file: SourceFile, from: string): string {
  return new URL(from, `file:///${file.path}`).pathname.slice(1);
}

export const relative = (from: string): boolean => from.startsWith('.');

function arrowProblem(fromLayer: string, toLayer: string): string | undefined {
  if (fromLayer === toLayer) return undefined;
  const aside = ASIDE[fromLayer];
  if (aside) return aside.includes(toLayer) ? undefined : `${fromLayer} may import ${aside.join(', ')} only`;
  if (ASIDE[toLayer]) return fromLayer === 'app' ? undefined : `only app imports ${toLayer}`;
  if (rank(fromLayer) < 0) return `${fromLayer} is no layer`;
  if (rank(toLayer) < 0) return `${toLayer} is no layer`;
  return rank(toLayer) < rank(fromLayer) ? undefined : `an arrow from ${fromLayer} up to ${toLayer}`;
}

/** A file imports only from lower layers or its own folder. */
export function checkLayers(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) =>
    importsOf(file)
      .filter(({ from }) => relative(from))
      .map(({ from }) => ({ from, problem: arrowProblem(layerOf(file.path), layerOf(target(file, from))) }))
      .flatMap(({ from, problem }) => (problem ? [`${file.path} imports ${from}: ${problem}`] : [])),
  );
}

/** Only actions/splice and the composition root know that there is a relay; its frame cursor is a parser, and anybody's. */
export function checkRelay(files: readonly SourceFile[]): string[] {
  return files
    .filter((file) => !['relay', 'app'].includes(layerOf(file.path)) && file.path !== 'actions/splice.ts')
    .filter((file) =>
      importsOf(file)
        .filter(({ from }) => relative(from))
        .map(({ from }) => target(file, from))
        .some((to) => layerOf(to) === 'relay' && to !== 'relay/js/cursor.ts'),
    )
    .map((file) => `${file.path} imports relay`);
}

/** The pure layers take no socket and no file; types of them are fine, and so are facts. */
export function checkPurity(files: readonly SourceFile[]): string[] {
  return files
    .filter((file) => PURE.includes(layerOf(file.path)) && file.path !== 'config/load.ts')
    .flatMap((file) =>
      importsOf(file)
        .filter(({ from }) => IO.test(from))
        .flatMap(({ from, values }) =>
          values
            .filter((name) => !(/^(node:)?net$/.test(from) && FACTS.includes(name)))
            .map((name) => `${file.path} imports ${name} of ${from}`),
        ),
    );
}

/** A package stands behind one or two files of ours, so that it can be replaced. */
export function checkPackages(files: readonly SourceFile[]): string[] {
  const users = new Map<string, Set<string>>();
  for (const file of files) {
    for (const { from } of importsOf(file)) {
      if (relative(from) || from.startsWith('node:')) continue;
      const name = from.split('/', from.startsWith('@') ? 2 : 1).join('/');
      // The schema is one thing in several files.
      if (name === 'zod' && /^config\/schema\//.test(file.path)) continue;
      users.set(name, (users.get(name) ?? new Set()).add(file.path));
    }
  }
  return [...users]
    .filter(([, paths]) => paths.size > 2)
    .map(([name, paths]) => `${name} is imported by ${[...paths].join(', ')}`);
}

const FUNCTIONS = ['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression'];

/** Files, functions and parameter lists stay short. */
export function checkSizes(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    const problems: string[] = [];
    const lines = file.text.trimEnd().split('\n').length;
    if (lines > MAX_FILE_LINES) problems.push(`${file.path} has ${lines} lines`);
    for (const node of walk(parse(file))) {
      if (!FUNCTIONS.includes(node.type)) continue;
      const first = lineOf(file, node.start);
      const length = lineOf(file, node.end) - first + 1;
      if (length > MAX_FUNCTION_LINES) problems.push(`${file.path}:${first}: a function of ${length} lines`);
      const parameters = (node['params'] as unknown[]).length;
      if (parameters > MAX_PARAMETERS) problems.push(`${file.path}:${first}: a function of ${parameters} parameters`);
    }
    return problems;
  });
}

/** No exit but main's, no state of a module that changes, no file that does not say what it is for. */
export function checkHabits(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    const problems: string[] = [];
    const tree = parse(file);
    if (!/^(#!.*\n)?(\/\/|\/\*)/.test(file.text)) problems.push(`${file.path} does not say what it is for`);
    for (const node of tree['body'] as Node[]) {
      const declaration = isNode(node['declaration']) ? node['declaration'] : node;
      if (declaration.type === 'VariableDeclaration' && declaration['kind'] !== 'const') {
        problems.push(`${file.path}:${lineOf(file, node.start)}: state of the module`);
      }
    }
    for (const node of walk(tree)) {
      if (node.type !== 'MemberExpression' || file.path === 'main.ts') continue;
      const { object, property } = node as Node & { object: Node; property: Node };
      const exits = object['name'] === 'process' && ['exit', 'reallyExit', 'abort'].includes(String(property['name']));
      if (exits) problems.push(`${file.path}:${lineOf(file, node.start)}: process.${property['name']}`);
    }
    return problems;
  });
}

/** What node's documentation asks those to write who make a stream of their own. */
const OF_STREAMS = ['_construct', '_read', '_write', '_writev', '_final', '_destroy', '_transform', '_flush'];
/** Undocumented, and not named as such. */
const INTERNAL_NAMES = ['readStart', 'readStop', 'writeQueueSize', 'useUserBuffer', 'httpAllowHalfOpen'];
const INTERNAL_MODULE = /^(node:)?(_(http|tls|stream)_\w+|internal\/.+)$/;
/** Documented, but not to be set. */
const NOT_TO_SET = ['destroySoon', 'maxHeaderSize'];
const INTERNALS = 'net/node-internals.ts';

const isInternal = (name: string): boolean =>
  (/^_[a-z]/i.test(name) && !OF_STREAMS.includes(name)) ||
  INTERNAL_NAMES.includes(name) ||
  name === 'getOwnPropertySymbols';

/** What of node is undocumented stands in one file. */
export function checkInternals(files: readonly SourceFile[]): string[] {
  return files
    .filter(({ path }) => path !== INTERNALS)
    .flatMap((file) => {
      const at = (node: Node): string => `${file.path}:${lineOf(file, node.start)}`;
      return [...walk(parse(file))].flatMap((node) => {
        const module = literal(node);
        if (module !== undefined && INTERNAL_MODULE.test(module))
          return [`${at(node)}: ${module} belongs in ${INTERNALS}`];
        const set = node.type === 'AssignmentExpression' ? nameOfMember(node['left']) : undefined;
        if (set !== undefined && NOT_TO_SET.includes(set)) return [`${at(node)}: ${set} is set`];
        const name = nameOfMember(node) ?? nameOfKey(node);
        return name !== undefined && isInternal(name) ? [`${at(node)}: ${name} belongs in ${INTERNALS}`] : [];
      });
    });
}

/** The name of `a.name` and of `a['name']`. */
function nameOfMember(node: unknown): string | undefined {
  if (!isNode(node) || node.type !== 'MemberExpression') return undefined;
  return nameOf(node['property'], node['computed'] === true);
}

/** The name of a property of an object, a pattern or a type. */
function nameOfKey(node: Node): string | undefined {
  if (!['Property', 'TSPropertySignature', 'TSMethodSignature'].includes(node.type)) return undefined;
  return nameOf(node['key'], node['computed'] === true);
}

function nameOf(key: unknown, computed: boolean): string | undefined {
  if (!isNode(key)) return undefined;
  return literal(key) ?? (computed || key.type !== 'Identifier' ? undefined : String(key['name']));
}
