// Bounded load on a gateway: a few clients at once, each sending one request after the other, and a count of what came of
// them. Not a benchmark.
import { Agent, request } from 'node:http';

export interface Tally {
  /** How many ended with each status, or with the code of an error. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly total: number;
}

export interface Load {
  /** Sends until this many requests have ended; what came of all of them. */
  run(count: number): Promise<Tally>;
  /** How many have ended so far. */
  ended(): number;
}

/** `id` goes out as `X-Id`, a new one for each request, so that a server can tell whether it got one twice. */
export function createLoad(port: number, method: string, clients = 8): Load {
  let [ended, sent] = [0, 0];
  const outcomes: Record<string, number> = {};
  const once = (agent: Agent): Promise<string> =>
    new Promise((resolve) => {
      const body = method === 'POST' ? 'a body' : '';
      const headers = { 'X-Id': `${method}-${sent++}`, 'Content-Length': body.length };
      const req = request({ host: '127.0.0.1', port, method, path: '/load', agent, headers });
      req.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      req.once('response', (answer) => {
        answer.resume();
        answer.once('close', () => resolve(answer.complete ? String(answer.statusCode) : 'cut'));
      });
      req.end(body);
    });
  return {
    ended: () => ended,
    async run(count) {
      const worker = async () => {
        const agent = new Agent({ keepAlive: true, maxSockets: 1 });
        while (sent < count) {
          const outcome = await once(agent);
          outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
          ended++;
        }
        agent.destroy();
      };
      await Promise.all(Array.from({ length: clients }, worker));
      return { outcomes, total: ended };
    },
  };
}
