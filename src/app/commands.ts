// The commands and their options, written once: usage, completion and the man page come from here, and cli.ts runs them.
import { nearest } from '../config/problems/nearest.ts';

export interface CommandOption {
  readonly name: string;
  readonly short?: string;
  /** What stands for its value; unset: it takes none. */
  readonly value?: string;
  readonly multiple?: true;
  readonly help: string;
}

export interface Command {
  readonly name: string;
  /** What stands behind it, beside options. */
  readonly args: readonly string[];
  /** One more argument that may be left out. */
  readonly optional?: string;
  /** Which values the first argument may have; unset: any. */
  readonly choices?: readonly string[];
  readonly help: string;
  /** Beside `--config`, which each but those of `alone` has. */
  readonly options: readonly CommandOption[];
  /** It reads no config. */
  readonly alone?: true;
}

export const CONFIG: CommandOption = { name: 'config', short: 'c', value: 'FILE', help: 'default: gateway.yaml' };

const JSON_OPTION: CommandOption = { name: 'json', help: 'print JSON' };
const SORT: CommandOption = {
  name: 'sort',
  value: 'opened|rate|bytes|messages|idle',
  help: 'sort by this, highest first',
};
const SEARCH: CommandOption = { name: 'search', value: 'TEXT', help: 'only sessions that contain TEXT' };
const LIMIT: CommandOption = { name: 'limit', value: 'N', help: 'at most N entries, up to 1000' };

export const COMMANDS: readonly Command[] = [
  {
    name: 'run',
    args: [],
    help: 'start the gateway with the config FILE',
    options: [
      { name: 'demo', help: 'also start small backends at the loopback addresses that FILE names' },
      {
        name: 'take-over',
        value: 'PATH',
        help: 'take the listening sockets over from the gateway that runs with the same PATH (a unix socket); it then drains',
      },
    ],
  },
  {
    name: 'check',
    args: [],
    optional: 'FILE',
    help: 'check FILE and print every mistake with its line; exit 1 if there is an error',
    options: [],
  },
  {
    name: 'explain',
    args: ['URL'],
    help: 'print how the gateway would answer a request for URL, and why; exit 1 if it would refuse it',
    options: [
      { name: 'origin', value: 'ORIGIN', help: 'the Origin of the request' },
      { name: 'version', value: 'N', help: 'Sec-WebSocket-Version (default: 13)' },
      { name: 'protocol', value: 'P[,P]', help: 'the subprotocols that the client offers' },
      { name: 'from', value: 'IP|unix', help: 'the address of the client (default: 127.0.0.1)' },
      { name: 'token', value: 'TOKEN', help: 'a bearer token' },
      { name: 'header', value: "'NAME: VALUE'", multiple: true, help: 'another header field; may be repeated' },
    ],
  },
  { name: 'schema', args: [], help: 'print the JSON Schema of the config, for editors', options: [], alone: true },
  {
    name: 'healthcheck',
    args: [],
    help: "ask a running gateway's /healthz; exit 1 if it does not answer 200",
    options: [],
  },
  { name: 'status', args: [], help: 'print the state of the running gateway', options: [JSON_OPTION] },
  {
    name: 'upstreams',
    args: [],
    help: 'print the servers of the running gateway and their health',
    options: [JSON_OPTION, LIMIT],
  },
  {
    name: 'connections',
    args: [],
    help: 'print the live sessions of the running gateway',
    options: [JSON_OPTION, SORT, SEARCH, LIMIT],
  },
  {
    name: 'top',
    args: [],
    help: 'show state, servers, sessions and refusals, every second; if the output is not a terminal, only once',
    options: [SORT, SEARCH],
  },
  {
    name: 'import',
    args: ['nginx|caddy', 'FILE'],
    choices: ['nginx', 'caddy'],
    help: 'convert the config of another proxy and print it as gateway.yaml, with a remark on everything that could not be converted',
    options: [],
    alone: true,
  },
  {
    name: 'completion',
    args: ['bash|zsh|fish'],
    choices: ['bash', 'zsh', 'fish'],
    help: 'print the completion script for a shell',
    options: [],
    alone: true,
  },
  {
    name: 'init',
    args: [],
    optional: 'FILE',
    help: 'write a commented config to start from (default: gateway.yaml); never overwrites a file',
    options: [],
    alone: true,
  },
  {
    name: 'hash-password',
    args: [],
    help: 'read a password from standard input and print its hash for a users file',
    options: [],
    alone: true,
  },
  {
    name: 'help',
    args: [],
    optional: 'COMMAND',
    help: 'print this help, or the help of one command',
    options: [],
    alone: true,
  },
  { name: 'man', args: [], help: 'print the manual page: upgate man | man -l -', options: [], alone: true },
];

const SIGNALS = [
  'SIGHUP reloads FILE; with --demo, it drains instead.',
  'SIGTERM and SIGINT drain. A second signal ends the process at once.',
];
const EXIT_STATUS = [
  ['0', 'The command succeeded, or the gateway has drained.'],
  ['1', 'The command failed, the config has an error, explain found a refusal, or a second signal ended the drain.'],
  ['2', 'The command line is wrong.'],
  ['70', 'A defect of the program.'],
] as const;
/** Where the help of a command begins. */
const COLUMN = 27;
/** That of a terminal that nobody has made wider. */
const WIDTH = 80;

/** The command of this name; undefined where there is none. */
export function commandNamed(name: string): Command | undefined {
  return COMMANDS.find((command) => command.name === name);
}

/** The message for a command that does not exist, with the name that was probably meant. */
export function unknownCommand(name: string): string {
  const names = COMMANDS.map((command) => command.name);
  return `there is no command "${name}"${suggestion(nearest(name, names), '')}; see upgate help`;
}

/** The message for an option that no command has, with the one that was probably meant. */
export function unknownOption(option: string): string {
  const name = option.replace(/^-+/, '');
  const names = [...COMMANDS.flatMap(({ options }) => options), CONFIG].map((known) => known.name);
  return `there is no option ${option}${suggestion(nearest(name, [...names, 'help', 'version']), '--')}; see upgate help`;
}

function suggestion(meant: string | undefined, dashes: string): string {
  return meant === undefined ? '' : ` (did you mean ${dashes}${meant}?)`;
}

/** `run [-c FILE] [--demo]` */
function synopsis({ name, args, optional, options, alone }: Command): string {
  const flags = options.filter(({ value }) => value === undefined).map((option) => ` [--${option.name}]`);
  // One spelling: where a config is an argument, -c is the same.
  const config = alone || optional === 'FILE' ? '' : ' [-c FILE]';
  const words = optional === undefined ? [name, ...args] : [name, ...args, `[${optional}]`];
  return `${words.join(' ')}${config}${flags.join('')}`;
}

function withValue({ name, value }: CommandOption): string {
  return value === undefined ? `--${name}` : `--${name} ${value}`;
}

/** A command and its options, as the usage has them. */
function linesOf(command: Command): string[] {
  return [
    ...besideHelp(`  ${synopsis(command)}`, command.help),
    ...command.options.flatMap((option) => besideHelp(`      ${withValue(option)}`, option.help)),
  ];
}

/** What is to be typed, and what it does: beside it where there is room, else below, in the width of a terminal. */
function besideHelp(typed: string, help: string): string[] {
  const lines = [''];
  for (const word of help.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line === '') lines[lines.length - 1] = word;
    else if (COLUMN + line.length + 1 + word.length > WIDTH) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  const [first = '', ...further] = lines;
  const begun = typed.length < COLUMN ? [`${typed.padEnd(COLUMN)}${first}`] : [typed, `${' '.repeat(COLUMN)}${first}`];
  return [...begun, ...further.map((line) => `${' '.repeat(COLUMN)}${line}`)];
}

/** What `COMMAND --help` prints. */
export function helpOf(command: Command): string {
  const config = command.alone ? [] : ['', `  -c, --config FILE        ${CONFIG.help}`];
  return [`Usage: upgate ${synopsis(command)}`, '', ...linesOf(command), ...config, ''].join('\n');
}

/** What `--help` prints. */
export function usage(): string {
  return [
    'Usage: upgate <command> [options]',
    '',
    ...COMMANDS.flatMap(linesOf),
    '',
    `  -c, --config FILE        ${CONFIG.help}`,
    '  -h, --help   -v, --version',
    '',
    'Signals:',
    ...SIGNALS.map((line) => `  ${line}`),
    '',
  ].join('\n');
}

/** The options of a command, its config among them. */
export function optionsOf({ options, alone }: Command): readonly CommandOption[] {
  return alone ? options : [...options, CONFIG];
}

/** What is wrong with its arguments; `upgate run other.yaml` must not run the default file. */
export function misused(
  { name, args: wanted, optional, choices, alone }: Command,
  args: readonly string[],
): string | null {
  const stray = args[wanted.length + (optional === undefined ? 0 : 1)];
  if (stray !== undefined) return `${name} takes no argument "${stray}"${alone ? '' : '; a config is named with -c'}`;
  const [first] = args;
  if (choices !== undefined && first !== undefined && !choices.includes(first))
    return `${name}: "${first}" is not one of ${choices.join(', ')}`;
  if (name === 'explain' && first === undefined) return 'explain needs a URL, such as wss://app.example.com/ws/chat';
  return args.length < wanted.length ? `${name} needs: ${wanted.join(' ')}` : null;
}

/** An option that only other commands have must not be passed over in silence. */
export function strayOption(command: Command, given: readonly string[]): string | null {
  const known = optionsOf(command).map(({ name }) => name);
  const stray = given.find((option) => !known.includes(option));
  return stray === undefined ? null : `${command.name} takes no option --${stray}; see upgate ${command.name} --help`;
}

/** The manual page, in the macros of man(7). */
export function manPage(version: string): string {
  const roff = (text: string): string =>
    text
      .replace(/\\/g, '\\e')
      .replace(/-/g, '\\-')
      .replace(/^([.'])/gm, '\\&$1');
  const item = (term: string, text: string): string[] => ['.TP', `.B ${roff(term)}`, roff(text)];
  const commands = COMMANDS.flatMap((command) => [
    ...item(synopsis(command), command.help),
    ...(command.options.length === 0 ? [] : ['.RS']),
    ...command.options.flatMap((option) => item(withValue(option), option.help)),
    ...(command.options.length === 0 ? [] : ['.RE']),
  ]);
  return [
    `.TH UPGATE 1 "" "upgate ${roff(version)}" "User Commands"`,
    '.SH NAME',
    'upgate \\- an upgrade gateway for WebSockets',
    '.SH SYNOPSIS',
    '.B upgate',
    '.I command',
    '.RI [ options ]',
    '.SH COMMANDS',
    ...commands,
    '.SH OPTIONS',
    ...item('-c, --config FILE', CONFIG.help),
    ...item('-h, --help', 'print the help'),
    ...item('-v, --version', 'print the version'),
    '.SH SIGNALS',
    ...SIGNALS.map(roff),
    '.SH EXIT STATUS',
    ...EXIT_STATUS.flatMap(([code, meaning]) => item(code, meaning)),
    '',
  ].join('\n');
}
