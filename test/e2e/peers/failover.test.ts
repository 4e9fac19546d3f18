// Backends on Python's http.server killed and started again under bounded load: what can be tried again is not lost, and
// what must not be repeated is not. Each request has an id, and each server prints the ids it has seen.
import { afterEach, describe, expect, it } from 'vitest';
import { openClient } from '../../support/client.ts';
import { type Gateway, startGateway } from '../../support/gateway.ts';
import { createLoad, type Tally } from '../../support/load.ts';
import { hasPeers, type PythonServer, startPython } from '../../support/peers.ts';
import { closedPort } from '../../support/scripted.ts';

const REQUESTS = 2000;
const ROUNDS = 4;

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const HANDSHAKES = 600;

interface Run {
  readonly tally: Tally;
  /** Every id that any server has seen, as often as it was seen. */
  readonly seen: readonly string[];
  readonly gateway: Gateway;
}

/** Opens and closes sessions one after the other, a few at a time; how many opened, and why the others did not. */
function createHandshakes(port: number, clients = 6) {
  let [begun, ended] = [0, 0];
  const outcomes: Record<string, number> = {};
  const one = async (): Promise<string> => {
    const client = await openClient(`ws://127.0.0.1:${port}/ws`).catch((error: Error) => error.message);
    if (typeof client === 'string') return client;
    client.socket.terminate();
    return 'opened';
  };
  const run = async (count: number) => {
    const worker = async () => {
      while (begun++ < count) {
        const outcome = await one();
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
        ended++;
      }
    };
    await Promise.all(Array.from({ length: clients }, worker));
    return outcomes;
  };
  return { run, ended: () => ended };
}

/** On a port that nobody else gets while the server is away. */
const startAlone = async (script: string) => startPython(script, '--port', String(await closedPort()));

/** Sends the load while one server after the other is killed without warning and started again on its port. */
async function runUnderKills(method: string): Promise<Run> {
  const servers = [await startAlone('http_server.py'), await startAlone('http_server.py')];
  const all: PythonServer[] = [...servers];
  ends.push(() => Promise.all(all.map((server) => server.stop('SIGKILL'))));
  const gateway = await startGateway({
    listeners: [{ host: '127.0.0.1', port: 0 }],
    upstreams: {
      rest: {
        servers: servers.map(({ port }) => `http://127.0.0.1:${port}`),
        health: {
          // Checks that are slow on a busy machine must not take the only server left out.
          active: { type: 'http', path: '/healthz', every: '500ms', timeout: '500ms', fall: 20, rise: 1 },
          passive: { failures: 3, eject: '200ms', max_eject: '200ms' },
        },
      },
    },
    routes: [{ name: 'api', http: { upstream: 'rest' } }],
    log: { access: false },
  });
  ends.push(() => gateway.stop());
  const load = createLoad(gateway.port, method);
  const done = load.run(REQUESTS);
  for (let round = 0; round < ROUNDS; round++) {
    const victim = round % 2;
    // Spread over the load, so that the other one carries it meanwhile, and this one is back before the next round.
    await expect
      .poll(() => load.ended(), { timeout: 60_000, interval: 2 })
      .toBeGreaterThan(((round + 0.5) * REQUESTS) / (ROUNDS + 1));
    const { port } = servers[victim]!;
    await servers[victim]!.stop('SIGKILL');
    servers[victim] = await startPython('http_server.py', '--port', String(port));
    all.push(servers[victim]!);
    // Were the other one killed before the gateway knows, there would be no server at all.
    const server = { upstream: 'rest', server: `http://127.0.0.1:${port}` };
    const isUp = async () => (await gateway.metric('upstream_up', server)) === 1;
    // Requests bring it back, and there may be none any more.
    await expect.poll(async () => load.ended() === REQUESTS || (await isUp())).toBe(true);
  }
  const tally = await done;
  await Promise.all(servers.map((server) => server.stop('SIGTERM')));
  const lines = all.flatMap(({ child }) => child.lines).filter((line) => line.startsWith('{'));
  return { tally, gateway, seen: lines.map((line) => (JSON.parse(line) as { id: string }).id) };
}

describe.skipIf(!hasPeers('python3'))('two servers that are killed and started again by turns', () => {
  it('lose no GET', async () => {
    const { tally, seen, gateway } = await runUnderKills('GET');
    expect(tally).toEqual({ outcomes: { 200: REQUESTS }, total: REQUESTS });
    // A request may have been seen by a server that was killed before its answer was out, and then by the other one.
    expect(new Set(seen).size).toBe(REQUESTS);
    const retried = (await gateway.metric('upstream_retries_total', { upstream: 'rest', result: 'retried' })) ?? 0;
    const repeated = seen.length - REQUESTS;
    expect(repeated).toBeLessThanOrEqual(retried);
    process.stdout.write(
      `GET: ${REQUESTS} sent, ${ROUNDS} kills, 0 lost, ${retried} retried, ${repeated} seen twice\n`,
    );
  });

  it('see no POST twice, and lose only those that were on their way', async () => {
    const { tally, seen, gateway } = await runUnderKills('POST');
    expect(new Set(seen).size).toBe(seen.length);
    const { 200: ok = 0, 502: failed = 0, ...others } = tally.outcomes;
    expect({ others, total: tally.total }).toEqual({ others: {}, total: REQUESTS });
    // Eight clients: at most that many requests are on their way to a server when it is killed.
    expect(failed).toBeLessThanOrEqual(8 * ROUNDS);
    expect(seen.length).toBeGreaterThanOrEqual(ok);
    const retried = (await gateway.metric('upstream_retries_total', { upstream: 'rest', result: 'retried' })) ?? 0;
    process.stdout.write(
      `POST: ${REQUESTS} sent, ${ROUNDS} kills, 0 repeated, ${failed} broken off, ${retried} retried\n`,
    );
  });
});

describe.skipIf(!hasPeers('python3-websockets'))(
  'two WebSocket servers that are killed and started again by turns',
  () => {
    it('lose no handshake', async () => {
      const servers = [await startAlone('push.py'), await startAlone('push.py')];
      const all = [...servers];
      ends.push(() => Promise.all(all.map((server) => server.stop('SIGKILL'))));
      const gateway = await startGateway({
        listeners: [{ host: '127.0.0.1', port: 0 }],
        upstreams: {
          push: {
            servers: servers.map(({ port }) => `ws://127.0.0.1:${port}`),
            balance: 'least_connections',
            health: { passive: { failures: 3, eject: '200ms', max_eject: '200ms' } },
          },
        },
        routes: [{ name: 'push', websocket: { mode: 'splice', upstream: 'push', origins: 'any' } }],
        log: { access: false },
      });
      ends.push(() => gateway.stop());
      const load = createHandshakes(gateway.port);
      const done = load.run(HANDSHAKES);
      for (let round = 0; round < ROUNDS; round++) {
        await expect
          .poll(() => load.ended(), { timeout: 60_000, interval: 2 })
          .toBeGreaterThan(((round + 0.5) * HANDSHAKES) / (ROUNDS + 1));
        const victim = servers[round % 2]!;
        await victim.stop('SIGKILL');
        servers[round % 2] = await startPython('push.py', '--port', String(victim.port));
        all.push(servers[round % 2]!);
        // Were the other one killed before the gateway knows, there would be no server at all.
        const server = { upstream: 'push', server: `ws://127.0.0.1:${victim.port}` };
        const isUp = async () => (await gateway.metric('upstream_up', server)) === 1;
        // Handshakes bring it back, and there may be none any more.
        await expect.poll(async () => load.ended() === HANDSHAKES || (await isUp())).toBe(true);
      }
      expect(await done).toEqual({ opened: HANDSHAKES });
      const retried = (await gateway.metric('upstream_retries_total', { upstream: 'push', result: 'retried' })) ?? 0;
      process.stdout.write(`handshakes: ${HANDSHAKES}, ${ROUNDS} kills, 0 lost, ${retried} retried\n`);
    });
  },
);
