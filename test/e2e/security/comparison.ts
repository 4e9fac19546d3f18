// The comparison in docs/security-comparison.md: each case, and what Upgate, nginx and HAProxy make of the same bytes.
import { attack, type Case, type Outcome, SOON_MS } from './attack.ts';
import { GROUPS } from './cases.ts';
import type { ProxyUnderTest } from './proxies.ts';

/** Outcomes by the name of the case. */
export type Outcomes = ReadonlyMap<string, Outcome>;

/** Runs every case, one after the other. */
export async function runAll(proxy: ProxyUnderTest): Promise<Outcomes> {
  const outcomes = new Map<string, Outcome>();
  for (const { cases } of GROUPS) for (const one of cases) outcomes.set(one.name, await attack(proxy, one, SOON_MS));
  return outcomes;
}

/** One cell: the statuses, and what reached the backend. */
export function formatOutcome({ answers, reached, victim }: Outcome): string {
  const arrived = reached.filter((line) => !isLast(line));
  const parts = [shorten(answers.join(' ')), arrived.length === 0 ? 'nothing' : arrived.map(code).join(', ')];
  if (victim !== undefined) parts.push(`**the next client got** ${code(victim)}`);
  return parts.join('; ');
}

/** The honest request behind an attack is left out where it arrived as itself. */
const isLast = (line: string): boolean => /^GET \/public\/last(?: \{.*)?$/.test(line);

const shorten = (statuses: string): string => statuses.replace(/(\b\d{3}) (?:\1 ){3,}/g, '$1 … ');

function code(text: string): string {
  const line = text.length > 100 ? `${text.slice(0, 97)}...` : text;
  const escaped = line
    .replaceAll(/[^\x20-\x7e]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`)
    .replaceAll('|', '\\|');
  return escaped.includes('`') ? `\`\` ${escaped} \`\`` : `\`${escaped}\``;
}

/** A row's first cell. */
export const nameCell = ({ name }: Case): string =>
  name.replaceAll('|', '\\|').replaceAll('*', '\\*').replaceAll('_', '\\_');

/** The tables, one a group; a proxy's column is made from what it did. */
export function formatTables(columns: readonly (readonly [name: string, outcomes: Outcomes])[]): string {
  return GROUPS.map(({ title, cases }) => {
    const head = [
      `| case | ${columns.map(([name]) => name).join(' | ')} |`,
      `|---|${columns.map(() => '---|').join('')}`,
    ];
    const rows = cases.map((one) => {
      const cells = columns.map(([, outcomes]) => formatOutcome(outcomes.get(one.name)!));
      return `| ${nameCell(one)} | ${cells.join(' | ')} |`;
    });
    return [`### ${title}`, '', ...head, ...rows].join('\n');
  }).join('\n\n');
}
