// `npm run test:nodes`: the whole suite on each version of node that is named, one after another, and a line for each at the
// end. `npm run test:nodes -- 24 26` tries those alone, and what stands behind a further `--` goes to vitest: `-- 24 -- test/unit`.
// Each version comes from npm's registry, and is the node of vitest and of all that it starts.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** The lines of releases that `engines` of package.json lets in and that are kept up. */
const VERSIONS = ['20', '22', '24', '26'];

const given = process.argv.slice(2);
const end = given.indexOf('--');
const chosen = end === -1 ? given : given.slice(0, end);
const forVitest = end === -1 ? [] : given.slice(end + 1);
const odd = chosen.filter((version) => !/^\d+(\.\d+){0,2}$/.test(version));
if (odd.length > 0) {
  console.error(`no version of node: ${odd.join(' ')}`);
  process.exit(2);
}

const results = [];
for (const version of chosen.length > 0 ? chosen : VERSIONS) results.push(await tryOn(version));
console.log('');
for (const { exact, sum } of results) console.log(`node ${exact}: ${sum}`);
process.exitCode = results.every(({ good }) => good) ? 0 : 1;

/** Runs the suite, shows what it says, and gives its last line. */
async function tryOn(version) {
  console.log(`== node ${version}`);
  const command = `node -v && node test/support/run.mjs ${forVitest.map(quoted).join(' ')}`;
  const child = spawn('npx', ['-y', '-p', `node@${version}`, '-c', command], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  let [exact, sum] = [`v${version}`, 'did not get to its end'];
  for await (const line of createInterface({ input: child.stdout })) {
    console.log(line);
    if (/^v\d+\.\d+\.\d+$/.test(line)) exact = line;
    if (/^\d+ passed, \d+ failed/.test(line)) sum = line;
  }
  const [code] = await ended;
  return { exact, sum, good: code === 0 };
}

function quoted(argument) {
  return `'${argument.replaceAll("'", `'\\''`)}'`;
}
