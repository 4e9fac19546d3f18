// The completion of shells, made from the table of commands.
import { COMMANDS, CONFIG, type Command, type CommandOption, optionsOf } from './commands.ts';

const SHELLS = { bash, zsh, fish } as const;

/** The script for a shell; null where it is none of those. */
export function completion(shell: string): string | null {
  return Object.hasOwn(SHELLS, shell) ? SHELLS[shell as keyof typeof SHELLS]() : null;
}

const NAMES = COMMANDS.map(({ name }) => name).join(' ');

/** The values of the first argument; none where it may be any. */
function firstOf({ choices, optional }: Command): readonly string[] {
  return optional === 'COMMAND' ? COMMANDS.map(({ name }) => name) : (choices ?? []);
}

function wordsOf(command: Command): string {
  return [...firstOf(command), ...optionsOf(command).map(({ name }) => `--${name}`)].join(' ');
}

function takesFile({ args, optional }: Command): boolean {
  return args.includes('FILE') || optional === 'FILE';
}

function bash(): string {
  return `# upgate completion bash > /etc/bash_completion.d/upgate
_upgate() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} command=\${COMP_WORDS[1]}
  COMPREPLY=()
  case "$prev" in
    -c|--config) COMPREPLY=($(compgen -f -- "$cur")); return ;;
  esac
  if [ "$COMP_CWORD" = 1 ]; then
    COMPREPLY=($(compgen -W "${NAMES} --help --version" -- "$cur"))
    return
  fi
  case "$command" in
${COMMANDS.map((command) => `    ${command.name}) COMPREPLY=($(compgen -W "${wordsOf(command)}" ${takesFile(command) ? '-f ' : ''}-- "$cur")) ;;`).join('\n')}
  esac
}
complete -o filenames -F _upgate upgate
`;
}

/** What stands within single quotes, brackets and colons of zsh. */
function zshText(text: string): string {
  return text.replaceAll("'", "'\\''").replace(/[[\]:]/g, '\\$&');
}

function zshOption({ name, value, help, multiple }: CommandOption): string {
  const action = name === CONFIG.name ? '_files' : ' ';
  const taken = value === undefined ? '' : `:${zshText(value)}:${action}`;
  return `'${multiple ? '*' : ''}--${name}[${zshText(help)}]${taken}'`;
}

function zsh(): string {
  const commands = COMMANDS.map(({ name, help }) => `    '${name}:${zshText(help)}'`).join('\n');
  const cases = COMMANDS.map((command) => {
    const values = firstOf(command);
    const first = values.length === 0 ? [] : [`'1:kind:(${values.join(' ')})'`];
    const rest = takesFile(command) ? ["'*:file:_files'"] : [];
    return `    ${command.name}) _arguments ${[...first, ...optionsOf(command).map(zshOption), ...rest].join(' ')} ;;`;
  });
  return `#compdef upgate
# upgate completion zsh > "\${fpath[1]}/_upgate"
_upgate() {
  local -a commands=(
${commands}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${cases.join('\n')}
  esac
}
_upgate "$@"
`;
}

function fish(): string {
  const quoted = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`;
  const lines = COMMANDS.flatMap((command) => {
    const within = `-n '__fish_seen_subcommand_from ${command.name}'`;
    return [
      `complete -c upgate -n __fish_use_subcommand -f -a ${command.name} -d ${quoted(command.help)}`,
      ...(firstOf(command).length === 0
        ? []
        : [`complete -c upgate ${within} -a ${quoted(firstOf(command).join(' '))}`]),
      ...optionsOf(command).map(
        ({ name, short, value, help }) =>
          `complete -c upgate ${within}${short === undefined ? '' : ` -s ${short}`} -l ${name}${value === undefined ? '' : ' -r'} -d ${quoted(help)}`,
      ),
    ];
  });
  return `# upgate completion fish > ~/.config/fish/completions/upgate.fish\n${lines.join('\n')}\n`;
}
