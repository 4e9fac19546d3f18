// `npm run drains` in its short form: live tunnels with traffic on each relay engine, over TLS and over HTTP/2, requests under way and
// answers without an end, all of which the built program ends in order. The long form is of 2,000 tunnels, beside other gateways.
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { run } from '../support/child.ts';

const DRAIN = fileURLToPath(new URL('../soak/drain.mjs', import.meta.url));

interface Result {
  readonly name: string;
  readonly tunnels: Readonly<Record<string, number>>;
  readonly requests: Readonly<Record<string, number>>;
  readonly endless: Readonly<Record<string, number>>;
  readonly last: number;
  readonly lastEndless: number;
  readonly exit: number | string;
}

it.each(['upgate', 'upgate-js', 'upgate-wss', 'upgate-h2'])(
  '%s: each client gets its Close, each request its answer',
  async (name) => {
    const plan = ['--tunnels', '120', '--grace', '10', '--spread', '1', '--only', name, '--json'];
    const { code, stdout } = await run(process.execPath, [DRAIN, ...plan]);
    const [result] = JSON.parse(stdout) as [Result];
    expect(result).toMatchObject({
      ...{ name, tunnels: { 'clean 1001': 120 }, requests: { whole: 20 }, endless: { whole: 20 }, exit: 0 },
    });
    // Spread, and the two seconds that the slow requests take: nobody waits for the grace.
    expect(Math.max(result.last, result.lastEndless)).toBeLessThan(10);
    expect(code).toBe(0);
  },
);
