// The commands and their options, once: usage, completion and the man page are made from here, and cli.ts obeys it.

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

const JSON_OPTION: CommandOption = { name: 'json', help: 'as JSON' };
const SORT: CommandOption = { name: 'sort', value: 'opened|rate|bytes|messages|idle', help: 'the greatest first' };
const SEARCH: CommandOption = { name: 'search', value: 'TEXT', help: 'only sessions with it' };
const LIMIT: CommandOption = { name: 'limit', value: 'N', help: 'at most so many, up to 1000' };

export const COMMANDS: readonly Command[] = [
  {
    name: 'run',
    args: [],
    help: 'serve',
    options: [
      { name: 'demo', help: 'also start the backends that FILE names on loopback' },
      { name: 'take-over', value: 'PATH', help: 'get the sockets of the process that runs, which then drains' },
    ],
  },
  {
    name: 'check',
    args: [],
    optional: 'FILE',
    help: 'say everything that is wrong with FILE; exit 1 where there is an error',
    options: [],
  },
  {
    name: 'explain',
    args: ['URL'],
    help: 'say what a request would get, and why',
    options: [
      { name: 'origin', value: 'ORIGIN', help: 'of the page that asks' },
      { name: 'version', value: 'N', help: 'Sec-WebSocket-Version' },
      { name: 'protocol', value: 'P[,P]', help: 'subprotocols offered' },
      { name: 'from', value: 'IP|unix', help: 'address of the peer' },
      { name: 'token', value: 'TOKEN', help: 'credentials' },
      { name: 'header', value: "'NAME: VALUE'", multiple: true, help: 'a further field' },
    ],
  },
  { name: 'schema', args: [], help: 'print the JSON Schema of the config, for editors', options: [], alone: true },
  {
    name: 'healthcheck',
    args: [],
    help: "ask a running gateway's /healthz; exit 1 where it does not answer",
    options: [],
  },
  { name: 'status', args: [], help: 'print how the running gateway is', options: [JSON_OPTION] },
  {
    name: 'upstreams',
    args: [],
    help: 'print its servers: healthy, eligible, why',
    options: [JSON_OPTION, LIMIT],
  },
  {
    name: 'connections',
    args: [],
    help: 'print its live sessions',
    options: [JSON_OPTION, SORT, SEARCH, LIMIT],
  },
  {
    name: 'top',
    args: [],
    help: 'show all of it every second; once where the output is no terminal',
    options: [SORT, SEARCH],
  },
  {
    name: 'import',
    args: ['nginx|caddy', 'FILE'],
    choices: ['nginx', 'caddy'],
    help: 'print a gateway.yaml made from the config of another proxy, with remarks on what could not be carried',
    options: [],
    alone: true,
  },
  {
    name: 'completion',
    args: ['bash|zsh|fish'],
    choices: ['bash', 'zsh', 'fish'],
    help: 'print the completion for a shell',
    options: [],
    alone: true,
  },
  {
    name: 'init',
    args: [],
    optional: 'FILE',
    help: 'write a commented config to begin with, where there is none: gateway.yaml',
    options: [],
    alone: true,
  },
  {
    name: 'hash-password',
    args: [],
    help: 'read a password from standard input, and print its hash for a users file',
    options: [],
    alone: true,
  },
  {
    name: 'help',
    args: [],
    optional: 'COMMAND',
    help: 'print this, or what one command takes',
    options: [],
    alone: true,
  },
  { name: 'man', args: [], help: 'print the manual page: upgate man | man -l -', options: [], alone: true },
];

const SIGNALS = 'Signals: SIGHUP reloads FILE; SIGTERM and SIGINT drain, a second one ends it.';
/** Where the help of a command begins. */
const COLUMN = 27;
/** That of a terminal that nobody has made wider. */
const WIDTH = 80;

/** The command of this name; undefined where there is none. */
export function commandNamed(name: string): Command | undefined {
  return COMMANDS.find((command) => command.name === name);
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
    SIGNALS,
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
    return `${name}: "${first}" is none of ${choices.join(', ')}`;
  if (name === 'explain' && first === undefined) return 'explain needs a URL, such as wss://app.example.com/ws/chat';
  return args.length < wanted.length ? `${name} needs: ${wanted.join(' ')}` : null;
}

/** An option that only other commands have must not be passed over in silence. */
export function strayOption(command: Command, given: readonly string[]): string | null {
  const known = optionsOf(command).map(({ name }) => name);
  const stray = given.find((option) => !known.includes(option));
  return stray === undefined
    ? null
    : `${command.name} takes no option --${stray}; upgate ${command.name} --help says what it takes`;
}

/** The manual page, in the macros of man(7). */
export function manPage(version: string): string {
  const roff = (text: string): string =>
    text
      .replace(/\\/g, '\\e')
      .replace(/-/g, '\\-')
      .replace(/^([.'])/gm, '\\&$1');
  const commands = COMMANDS.flatMap((command) => [
    '.TP',
    `.B ${roff(synopsis(command))}`,
    roff(command.help),
    ...(command.options.length === 0 ? [] : ['.RS']),
    ...command.options.flatMap((option) => ['.TP', `.B ${roff(withValue(option))}`, roff(option.help)]),
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
    '.TP',
    `.B ${roff('-c, --config FILE')}`,
    roff(CONFIG.help),
    '.TP',
    `.B ${roff('-h, --help')}`,
    'print what there is',
    '.TP',
    `.B ${roff('-v, --version')}`,
    'print the version',
    '.SH SIGNALS',
    roff(SIGNALS.replace('Signals: ', '')),
    '.SH EXIT STATUS',
    '0: done, or drained. 1: it could not, or the config has an error. 2: the command line is wrong. 70: a defect of the program.',
    '',
  ].join('\n');
}
