// What the relay's threads of this process spend.
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Processor time of all of them, in hundredths of a second. */
function spent(): number {
  return readdirSync('/proc/self/task')
    .map((task) => readFileSync(`/proc/self/task/${task}/stat`, 'latin1'))
    .filter((stat) => stat.includes('(upgate-relay)'))
    .map((stat) => stat.slice(stat.lastIndexOf(')') + 2).split(' '))
    .reduce((sum, fields) => sum + Number(fields[11]) + Number(fields[12]), 0);
}

/** The part of the next second that they spend; 1 is a whole processor. */
export async function spending(): Promise<number> {
  const [before, at] = [spent(), performance.now()];
  await sleep(1000);
  return ((spent() - before) * 10) / (performance.now() - at);
}
