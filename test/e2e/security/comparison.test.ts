// Holds the tables of docs/security-comparison.md to the cases, and writes them anew: `npm run compare` sends every case to Upgate,
// nginx and HAProxy (Debian: apt-get install nginx haproxy), about a minute. A proxy's column is what that release did then.
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { hasPeers } from '../../support/peers.ts';
import { GROUPS, SCRIPTS } from './cases.ts';
import { formatOutcome, formatTables, nameCell, type Outcomes, runAll } from './comparison.ts';
import { type ProxyUnderTest, startHaproxy, startNginx, startUpgate, versionOf } from './proxies.ts';

const FILE = new URL('../../../docs/security-comparison.md', import.meta.url);
const BETWEEN = /(<!-- comparison:start -->\n)[\s\S]*(\n<!-- comparison:end -->)/;
const writing = process.env['COMPARE'] === 'write';
const wanted: Outcomes = new Map(GROUPS.flatMap(({ cases }) => cases).map((one) => [one.name, one.want]));

async function observe(start: () => Promise<ProxyUnderTest>): Promise<Outcomes> {
  const proxy = await start();
  try {
    return await runAll(proxy);
  } finally {
    await proxy.stop();
  }
}

it.skipIf(!writing || !hasPeers('nginx', 'haproxy'))('is written', { timeout: 600_000 }, async () => {
  const nginx = await observe(() => startNginx(SCRIPTS));
  const haproxy = await observe(() => startHaproxy(SCRIPTS));
  const tables = formatTables([
    ['Upgate', wanted],
    [`nginx ${versionOf('nginx')}`, nginx],
    [`HAProxy ${versionOf('haproxy')}`, haproxy],
  ]);
  const text = readFileSync(FILE, 'utf8');
  expect(text).toMatch(BETWEEN);
  writeFileSync(
    FILE,
    text.replace(BETWEEN, (_, start, end) => `${start}\n${tables}\n${end}`),
  );
  // What Upgate is said to do, it does.
  const own = await observe(() => startUpgate(SCRIPTS, 'auto'));
  const differ = GROUPS.flatMap(({ cases }) => cases).filter(
    (one) => ![one.want, ...(one.or ?? [])].some((want) => formatOutcome(want) === formatOutcome(own.get(one.name)!)),
  );
  expect(differ.map(({ name }) => name)).toEqual([]);
});

describe('docs/security-comparison.md', () => {
  // The page was written on node 20; of a few requests the parsers of others make something else, as their cases say.
  it.runIf(process.versions.node.startsWith('20.'))('has every case, once, with what Upgate makes of it', () => {
    const [tables = ''] = BETWEEN.exec(readFileSync(FILE, 'utf8')) ?? [];
    const rows = tables.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| case |'));
    const cases = GROUPS.flatMap((group) => group.cases);
    expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
    const begun = cases.map((one) => `| ${nameCell(one)} | ${formatOutcome(one.want)} | `);
    expect(rows.map((row, i) => row.slice(0, begun[i]?.length))).toEqual(begun);
  });

  it('has no case in which the next client got another answer than its own from Upgate', () => {
    expect([...wanted.values()].filter(({ victim }) => victim !== undefined)).toEqual([]);
  });
});
