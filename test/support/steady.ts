// Clients at a steady rate: plain requests, some of them on connections that are kept, and WebSocket connections that send
// one message and leave, or stay. For what must not be noticed outside; every failure is told with its kind.
import { once } from 'node:events';
import http from 'node:http';
import { setTimeout as elapse } from 'node:timers/promises';
import { type Client, openClient } from './client.ts';

export interface SteadyReport {
  readonly requests: number;
  readonly handshakes: number;
  /** What went wrong, a line each. */
  readonly failures: readonly string[];
}

export interface Steady {
  /** Resolves when so many more of both have ended. */
  pass(count: number): Promise<void>;
  stop(): Promise<SteadyReport>;
}

function get(port: number, agent: http.Agent | false): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port, path: '/text', agent }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200 && body === 'text') resolve();
        else reject(new Error(`status ${response.statusCode}, body "${body}"`));
      });
    });
    request.on('error', reject);
  });
}

/** Sends a message, waits for its echo, and closes; a Close of the gateway counts as well as our own. */
async function talk(client: Client): Promise<void> {
  client.socket.send('steady');
  await client.next().catch(() => undefined);
  const { code } = await client.close();
  if (code !== 1000 && code !== 1001) throw new Error(`closed with ${code}`);
}

/** Starts `perSecond` requests and as many handshakes a second, at `/text` and `/echo` of this port. */
export function startSteady(port: number, perSecond: number): Steady {
  const failures: string[] = [];
  const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
  const open = new Set<Promise<void>>();
  const counts = { request: 0, handshake: 0 };
  const progress = new EventTarget();
  const run = (kind: keyof typeof counts, work: Promise<void>): void => {
    const done = work
      .catch((error: NodeJS.ErrnoException) => void failures.push(`${kind}: ${error.code ?? ''} ${error.message}`))
      .finally(() => {
        counts[kind]++;
        open.delete(done);
        progress.dispatchEvent(new Event('done'));
      });
    open.add(done);
  };
  let ticks = 0;
  const timer = setInterval(() => {
    run('request', get(port, ticks++ % 2 === 0 ? agent : false));
    run('handshake', openClient(`ws://127.0.0.1:${port}/echo`).then(talk));
  }, 1000 / perSecond);
  return {
    pass: async (count) => {
      const [requests, handshakes] = [counts.request + count, counts.handshake + count];
      while (counts.request < requests || counts.handshake < handshakes) await once(progress, 'done');
    },
    stop: async () => {
      clearInterval(timer);
      // One that never ends is a failure, too.
      await Promise.race([Promise.all(open), elapse(15_000, null, { ref: false })]);
      if (open.size > 0) failures.push(`${open.size} never ended`);
      agent.destroy();
      return { requests: counts.request, handshakes: counts.handshake, failures };
    },
  };
}
