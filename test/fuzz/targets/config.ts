// Config files. Any text is a config, or has problems: each at a place within the text, in words of its own, and without a
// secret of the environment shown.
import { type Parsed, parseConfig } from '../../../src/config/parse.ts';
import { formatProblem } from '../../../src/config/problem.ts';
import { promise, type Target } from '../target.ts';

const SECRET = 's3cret!value';

export const parse = (text: string): Parsed => parseConfig(text, { file: 'f', env: { PORT: '81', SECRET, EMPTY: '' } });

/** What must hold of a parsed text, whatever it is. */
export function checkParsed(text: string, { config, partial, problems, locate: place }: Parsed): string {
  const lines = text.split('\n');
  const errors = problems.filter(({ severity }) => severity === 'error');
  promise((config === null) === errors.length > 0, 'a config with errors, or none without');
  if (config !== null)
    promise(JSON.stringify(partial) === JSON.stringify(config), 'a whole config is not its own part');
  for (const problem of problems) {
    const { line, column } = problem;
    const length = (lines[line - 1] ?? '').length;
    promise(line >= 1 && line <= lines.length, `line ${line} of ${lines.length}`);
    promise(column >= 1 && column <= length + 1, `column ${column} of a line of ${length}`);
    const shown = formatProblem(problem);
    promise(/^f:\d+:\d+: (error|warning): ./.test(shown), `a problem without its place: ${shown}`);
    promise(!/\p{Cc}/u.test(shown), 'a control character in a message');
    promise(!shown.includes(SECRET), 'a secret in a message');
    promise(!/undefined|\[object|Invalid input/.test(shown), `a message with no meaning: ${shown}`);
  }
  const far = place({ severity: 'error', path: ['routes', 7, 'x', 0], message: 'm' });
  promise(far.line <= lines.length, 'a place that is not in the text');
  if (config !== null) return `a config, ${config.routes.length} routes, ${problems.length} warnings`;
  return (problems[0]?.message ?? '').replace(/"[^"]*"|\d+/g, '_').slice(0, 60);
}

export const config: Target = {
  name: 'config',
  words: [
    '\n',
    '\n  ',
    '\n    ',
    ': ',
    '- ',
    '[',
    ']',
    '{',
    '}',
    ', ',
    '#',
    '"',
    "'",
    '\t',
    '\r\n',
    '|',
    '>',
    '---\n',
    '*a',
    '&a ',
    '!t ',
    '<<: *a',
    '~',
    '? ',
    'listeners:',
    'routes:',
    'upstreams:',
    'admin:',
    'drain:',
    'websocket:',
    'http:',
    'match:',
    'mode: splice',
    'mode: terminate',
    'handler: rooms',
    'origins:',
    'any',
    'path: /a/*',
    'host: "*.a.com"',
    '${PORT}',
    '"${SECRET}"',
    '${SECRET}',
    '${EMPTY}',
    '${NONE}',
    '${NONE:-x}',
    '${NONE:?why}',
    '$${X}',
    '__proto__',
    'constructor',
    '80',
    '1e9',
    '.nan',
    '30s',
    '1MiB',
    'true',
    'ws://a:1',
    '\x00',
    '\xff',
  ],
  longest: 2048,
  open: () => ({
    close() {},
    check(input) {
      const text = input.toString('utf8');
      return checkParsed(text, parse(text));
    },
  }),
};
