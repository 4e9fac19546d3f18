// npm run soak:all: the soak with each relay and each HTTP engine, one after the other; further options go to each. It ends with
// 1 where one of them did.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const SOAK = fileURLToPath(new URL('soak.mjs', import.meta.url));
const failed = [];
for (const relay of ['native', 'js']) {
  for (const http of ['auto', 'http-proxy']) {
    const options = ['--relay', relay, '--http', http, ...process.argv.slice(2)];
    console.log(`\n--relay ${relay} --http ${http}`);
    const [code] = await once(spawn(process.execPath, [SOAK, ...options], { stdio: 'inherit' }), 'exit');
    if (code !== 0) failed.push(`--relay ${relay} --http ${http}`);
  }
}
console.log(failed.length === 0 ? '\nall four hold' : `\nFAIL ${failed.join(', ')}`);
process.exitCode = failed.length === 0 ? 0 : 1;
