// How files and what they export may be called: no name that says nothing, no word that was given up, no name for two things.
import { isNode, type Node, parse, type SourceFile, walk } from './architecture.ts';

const FORBIDDEN_NAME = /^(utils?|helpers?|common|managers?)$/i;

/** A name says what is in it. */
export function checkNames(paths: readonly string[]): string[] {
  return paths.filter((path) => path.split('/').some((part) => FORBIDDEN_NAME.test(part.replace(/\..*$/, ''))));
}

/**
 * Words that once named a thing here and stand for nothing in the field, against the field's own. A word of two stands for
 * both spellings, `giveBack` and `give-back`. Words that are a standard's or a client's too are none of them: `guest`,
 * `cork`, `throttle`, `turn`.
 */
const OLD_WORDS: Readonly<Record<string, string>> = {
  asked: 'incoming',
  corks: 'batcher',
  conversation: 'handler',
  correspondence: 'connection',
  departure: 'client-closed',
  door: 'listener',
  'end in order': 'lingering-close',
  entrance: 'access',
  errand: 'remote command, delivery',
  evictor: 'gradual-close',
  gatekeeper: 'hook',
  farewell: 'close codes',
  'give back': 'return',
  inquire: 'request',
  inquiry: 'request',
  keeper: 'handler',
  'let go': 'close, detach',
  lookout: 'disconnect-watch',
  opener: 'factory',
  outbox: 'send-queue',
  parked: 'fd-connection',
  patience: 'timeout',
  patient: 'timeout, read-after-write-error',
  pests: 'misbehaving clients',
  pongs: 'pong-limiter',
  prefaced: 'preamble',
  pulse: 'keepalive',
  'put back': 'replay',
  reception: 'acceptor',
  rehearsal: 'warm-up',
  rehearse: 'warm up',
  rig: 'fixture',
  roster: 'slot-set',
  standstill: 'stall-detector',
  surroundings: 'deps',
  'take over': 'detach, reattach',
  tidy: 'clean, trim',
  ways: 'deps',
};

/** The same of whole type names, whose words mean something in another place. */
const OLD_TYPES: Readonly<Record<string, string>> = { Judge: 'OutcomeSink', Turns: 'Semaphore, PipelineQueue' };

/** `openDoors_2` and `open-doors.ts` as ` open doors 2 ` and ` open doors ts `. */
const wordsOf = (name: string): string =>
  ` ${name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1 $2')
    .split(/[^A-Za-z0-9]+/)
    .filter((word) => word !== '')
    .join(' ')
    .toLowerCase()} `;

/** What to write for the first old word of a name, or null where it has none. */
function oldWord(name: string): string | null {
  if (Object.hasOwn(OLD_TYPES, name)) return `${name}: say ${OLD_TYPES[name]}`;
  const words = wordsOf(name);
  for (const [old, now] of Object.entries(OLD_WORDS)) {
    if (words.includes(` ${old} `) || words.includes(` ${old}s `)) return `${old}: say ${now}`;
  }
  return null;
}

/** Paths of files with an old word in them. */
export function checkOldPaths(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    const problem = oldWord(path);
    return problem === null ? [] : [`${path} has an old word, ${problem}`];
  });
}

interface Exported {
  readonly node: Node;
  readonly name: string;
  readonly isType: boolean;
}

const TYPES = ['ClassDeclaration', 'TSInterfaceDeclaration', 'TSTypeAliasDeclaration'];

/** What a file declares and exports, by `export` before it or in a list; re-exports are somebody else's. */
function exportsOf(file: SourceFile): Exported[] {
  const statements = parse(file)['body'] as Node[];
  const exporting = (one: Node): boolean =>
    /^Export(Named|Default)Declaration$/.test(one.type) && !isNode(one['source']);
  const specifiers = statements.filter(exporting).flatMap((one) => (one['specifiers'] ?? []) as Node[]);
  const listed = new Set(specifiers.map((one) => nameOf(one['local'])));
  return statements.flatMap((statement) => {
    const whole = exporting(statement) && isNode(statement['declaration']);
    const declaration = whole ? (statement['declaration'] as Node) : statement;
    const several = declaration.type === 'VariableDeclaration';
    return (several ? (declaration['declarations'] as Node[]) : [declaration]).flatMap((node) => {
      const name = nameOf(node['id']);
      return name !== undefined && (whole || listed.has(name))
        ? [{ node, name, isType: TYPES.includes(node.type) }]
        : [];
    });
  });
}

const nameOf = (node: unknown): string | undefined =>
  isNode(node) && typeof node['name'] === 'string' ? node['name'] : undefined;

const MEMBERS =
  /^(MethodDefinition|PropertyDefinition|AccessorProperty|TSAbstract\w+|TSPropertySignature|TSMethodSignature)$/;

/** The names of a type's members, private ones and those of types written inside it included. */
function* memberNames({ node, isType }: Exported): Iterable<string> {
  if (!isType) return;
  for (const member of walk(node)) {
    const name = MEMBERS.test(member.type) ? nameOf(member['key']) : undefined;
    if (name !== undefined) yield name;
  }
}

/** Exported names with an old word in them, and members of exported types. */
export function checkOldNames(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) =>
    exportsOf(file)
      .flatMap((one) => [one.name, ...[...memberNames(one)].map((member) => `${one.name}.${member}`)])
      .flatMap((name) => {
        const problem = oldWord(name.slice(name.indexOf('.') + 1));
        return problem === null ? [] : [`${file.path}: ${name} has an old word, ${problem}`];
      }),
  );
}

/**
 * One name of an exported class, interface or type stands for one thing. `allowed`: names that stand in several files, each
 * with the reason; one that is not needed is refused too.
 */
export function checkTwins(files: readonly SourceFile[], allowed: Readonly<Record<string, string>>): string[] {
  const places = new Map<string, Set<string>>();
  for (const file of files) {
    for (const { name, isType } of exportsOf(file)) {
      if (isType) places.set(name, (places.get(name) ?? new Set()).add(file.path));
    }
  }
  const twins = [...places].filter(([, paths]) => paths.size > 1);
  const unused = Object.keys(allowed).filter((name) => !twins.some(([twin]) => twin === name));
  return [
    ...twins
      .filter(([name]) => !Object.hasOwn(allowed, name))
      .map(([name, paths]) => `${name} is a type of ${[...paths].join(' and of ')}`),
    ...unused.map((name) => `${name} is allowed in two files and stands in one`),
  ];
}
