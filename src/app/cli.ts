// The commands that commands.ts names. It reads the command line, prints, and gives an exit code.

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type AuthDeps, Authenticators } from '../auth/authenticators.ts';
import { ignore } from '../base/guard.ts';
import { packageFile } from '../base/package-file.ts';
import { formatProblem } from '../config/problem.ts';
import { editorSchema } from '../config/schema/json-schema.ts';
import { systemCode } from '../errors.ts';
import { attribute, compileTrustedProxies } from '../http/forwarding/forwarded.ts';
import { ClientClosed } from '../net/client-closed.ts';
import { decide } from '../routing/decide.ts';
import { type Explanation, explain, type Verified } from '../routing/explain/explain.ts';
import { type ExplainRequest, parseExplainRequest } from '../routing/explain/explain-request.ts';
import { type Prepared, prepare } from '../runtime/prepare.ts';
import {
  type Command,
  commandNamed,
  helpOf,
  manPage,
  misused,
  strayOption,
  unknownCommand,
  unknownOption,
  usage,
} from './commands.ts';
import { completion } from './completion.ts';
import { DEFAULT_CONFIG, hashFrom, init, missingConfig, programName } from './first-steps.ts';
import { ImportError } from './import/draft.ts';
import { importFile, isImportKind } from './import/import.ts';
import type { Lifecycle } from './lifecycle.ts';
import { healthcheck, type Shown, show, top } from './show.ts';
import { StartError } from './start-error.ts';
import { onTerminal } from './terminal.ts';

const TERMINAL = { input: process.stdin, output: process.stdout };

const OPTIONS = {
  config: { type: 'string', short: 'c' },
  demo: { type: 'boolean' },
  'take-over': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
  origin: { type: 'string' },
  version: { type: 'string' },
  protocol: { type: 'string' },
  from: { type: 'string' },
  token: { type: 'string' },
  header: { type: 'string', multiple: true },
  json: { type: 'boolean' },
  sort: { type: 'string' },
  search: { type: 'string' },
  limit: { type: 'string' },
} as const;

type Given = ReturnType<typeof readArguments>['values'];
/** The options, with the config that is meant where none was named. */
type Values = Given & { readonly config: string };

function readArguments(args: readonly string[]) {
  return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
}

function printError(line: string): void {
  process.stderr.write(`${line}\n`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function packageVersion(): string {
  const text = readFileSync(packageFile('package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

async function run({ config, demo, 'take-over': transferAt }: Values, lifecycle: Lifecycle): Promise<number | null> {
  // Only this command is a gateway; the others, a container's `healthcheck` among them, need not load it.
  const { App } = await import('../app.ts');
  const app = new App({
    file: config,
    env: process.env,
    version: packageVersion(),
    demo: demo === true,
    print: printError,
    interactive: process.stderr.isTTY,
    drain: () => lifecycle.requestStop(),
    transferAt,
  });
  lifecycle.serve(app, demo === true);
  try {
    await app.start();
    lifecycle.onStarted();
    return null;
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    printError(error.message);
    return 1;
  }
}

async function check(config: string): Promise<number> {
  const { prepared, problems } = await prepare(config, process.env, new Map());
  for (const problem of problems) printError(formatProblem(problem));
  if (prepared === null) return 1;
  print(`${config}: ok`);
  return 0;
}

async function explainUrl(url: string, values: Values): Promise<number> {
  const request = parseExplainRequest(url, values);
  if (typeof request === 'string') {
    printError(request);
    return 2;
  }
  const { prepared, problems } = await prepare(values.config, process.env, new Map());
  for (const problem of problems) printError(formatProblem(problem));
  if (prepared === null) return 1;
  const { trusted_proxies, http: plain, upstreams } = prepared.config;
  const trusted = compileTrustedProxies(trusted_proxies, plain.believe);
  const ask = (judged: Verified | null) => explain(prepared.table, request, { trusted, upstreams, verified: judged });
  const { credentials } = ask(null);
  const judged =
    credentials === null
      ? null
      : await verifyToken(prepared, credentials, { explainRequest: request, given: values.token });
  const { lines, reason } = ask(judged);
  for (const line of lines) print(line);
  return reason === null ? 0 : 1;
}

/** Tokens alone are looked at, and nobody has to be asked about them but the issuer of their keys. */
const NO_AUTH_DEPS: AuthDeps = {
  emit: ignore,
  caller: { call: notNeeded, close: ignore },
  pool: notNeeded,
};

function notNeeded(): never {
  throw new Error('explain asks no backend');
}

/** Whether a token is good, its keys fetched where they have to be; null where there is none to look at. */
async function verifyToken(
  { config, table }: Prepared,
  { route, token }: NonNullable<Explanation['credentials']>,
  { explainRequest, given }: { explainRequest: ExplainRequest; given: string | undefined },
): Promise<Verified | null> {
  const presented = given ?? token;
  const trusted = compileTrustedProxies(config.trusted_proxies, config.http.believe);
  const { head, client } = attribute(explainRequest.head, trusted, () => '');
  const verdict = decide(table, head, client.address);
  const authenticator = new Authenticators(config, NO_AUTH_DEPS, null).get(route);
  if (presented === null || authenticator === null || verdict.kind === 'reject') return null;
  if (verdict.route?.auth?.kind !== 'jwt') return null;
  const { request } = verdict;
  const { path } = request.target;
  const found = await authenticator.authenticate({
    id: '',
    request,
    path,
    token: presented,
    client,
    clientClosed: new ClientClosed(),
  });
  if ('reason' in found) {
    const { status, reason, detail } = found;
    return { refused: { status, reason }, detail };
  }
  if ('body' in found) return { refused: { status: found.status, reason: 'auth' }, detail: found.phrase };
  const until = found.expiresAt === null ? 'for ever' : `until ${new Date(found.expiresAt).toISOString()}`;
  return { refused: null, detail: `${found.subject ?? 'nobody by name'}, ${until}` };
}

/** Carries out a command; gives the exit code, or null where the process goes on. */
export async function main(argv: readonly string[], lifecycle: Lifecycle): Promise<number | null> {
  if (argv.length === 1 && (argv[0] === '-v' || argv[0] === '--version')) {
    print(packageVersion());
    return 0;
  }
  let read: ReturnType<typeof readArguments>;
  try {
    read = readArguments(argv);
  } catch (error) {
    if (!systemCode(error)?.startsWith('ERR_PARSE_ARGS')) throw error;
    printError(badOption(error as Error));
    return 2;
  }
  const { values, positionals } = read;
  const [name, ...args] = positionals;
  if (name === undefined) {
    print(usage());
    return values.help ? 0 : 2;
  }
  const command = commandNamed(name);
  if (command === undefined) return unknown(name);
  if (values.help) return printed(helpOf(command));
  const wrong = misused(command, args) ?? strayOption(command, Object.keys(values)) ?? namedTwice(name, args, values);
  if (wrong !== null) {
    printError(wrong);
    return 2;
  }
  const missing = readsDefault(command, args, values) ? missingConfig(programName(process.env)) : null;
  if (missing !== null) {
    printError(missing);
    return 1;
  }
  return RUNS[name as keyof typeof RUNS](args, { ...values, config: values.config ?? DEFAULT_CONFIG }, lifecycle);
}

/** The message for options that node's parser refuses. */
function badOption({ message }: Error): string {
  const [, stray] = /^Unknown option '([^']*)'/.exec(message) ?? [];
  // The rest of what node says is about arguments that begin with a dash, which no command has.
  return stray === undefined ? `${message.split('. ')[0]}; see upgate help` : unknownOption(stray);
}

function unknown(name: string): number {
  printError(unknownCommand(name));
  return 2;
}

/** Whether a command reads the default config. */
function readsDefault({ name, alone }: Command, [file]: readonly string[], { config }: Given): boolean {
  return !alone && config === undefined && (name !== 'check' || file === undefined);
}

/** A config that is an argument and an option must not be one of them in silence. */
function namedTwice(name: string, [file]: readonly string[], { config }: Given): string | null {
  if (name !== 'check' || file === undefined || config === undefined) return null;
  return `check takes one config: ${file}, or -c ${config}`;
}

type Run = (args: readonly string[], values: Values, lifecycle: Lifecycle) => number | null | Promise<number | null>;

const RUNS = {
  run: (_args, values, lifecycle) => run(values, lifecycle),
  check: ([file], values) => check(file ?? values.config),
  explain: ([url = ''], values) => explainUrl(url, values),
  schema: () => printed(JSON.stringify(editorSchema(), null, 2)),
  healthcheck: (_args, values) => healthcheck(asked(values)),
  status: (_args, values) => showAs('status', values),
  upstreams: (_args, values) => showAs('upstreams', values),
  connections: (_args, values) => showAs('connections', values),
  top: (_args, values) => onTerminal(TERMINAL, (terminal) => top(asked(values), terminal)),
  import: ([kind, file = '']) => importConfig(kind, file),
  completion: ([shell = '']) => printed((completion(shell) ?? '').trimEnd()),
  init: ([file]) => begin(file ?? DEFAULT_CONFIG),
  'hash-password': () => hash(),
  help: ([name]) => help(name),
  man: () => printed(manPage(packageVersion()).trimEnd()),
} as const satisfies Readonly<Record<string, Run>>;

function showAs(what: Shown, values: Values): Promise<number> {
  return show(what, asked(values));
}

function asked(values: Values) {
  const columns = process.stdout.isTTY ? process.stdout.columns : null;
  return { ...values, json: values.json === true, env: process.env, columns, print, printError };
}

async function begin(file: string): Promise<number> {
  const program = programName(process.env);
  const fault = await init(file, program);
  if (fault === null) return printed(`${file} is written. Edit it, then: ${program} check ${file}`);
  printError(fault);
  return 1;
}

async function hash(): Promise<number> {
  const hashed = await hashFrom(process.stdin);
  if (hashed !== null) return printed(hashed);
  printError('hash-password reads one line, the password, from standard input');
  return 1;
}

function help(name: string | undefined): number {
  if (name === undefined) return printed(usage());
  const command = commandNamed(name);
  return command === undefined ? unknown(name) : printed(helpOf(command));
}

function printed(text: string): number {
  print(text);
  return 0;
}

async function importConfig(kind: string | undefined, file: string): Promise<number> {
  if (!isImportKind(kind)) return 2;
  try {
    return printed((await importFile(kind, file)).trimEnd());
  } catch (error) {
    if (!(error instanceof ImportError)) throw error;
    printError(error.message);
    return 1;
  }
}
