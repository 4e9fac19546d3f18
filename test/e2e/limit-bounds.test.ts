// The smallest and the largest values of what bounds a session, over everything that carries one: each means the same in all
// of them, and none means "no bound".
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/parse.ts';
import { formatProblem } from '../../src/config/problem.ts';
import { openClient } from '../support/client.ts';
import { type EchoServer, startEcho } from '../support/echo.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';

/** Of `limits`, `timeouts` and `ping`, as both modes have them. */
type Options = Readonly<Record<string, object>>;
/** Lengths of messages that are echoed, and of one that ends the session, with its code; neither: it ends by itself. */
interface Row {
  readonly options: Options;
  readonly echoed: readonly number[];
  readonly ends?: readonly [length: number | null, code: number];
}

const MOST_BYTES = '8388607GiB';
const LONGEST = '596h';
const ROWS: Readonly<Record<string, Row>> = {
  'max_message: 1B': { options: { limits: { max_message: '1B' } }, echoed: [0, 1], ends: [2, 1009] },
  'max_message: 126B': { options: { limits: { max_message: '126B' } }, echoed: [125, 126], ends: [127, 1009] },
  'max_message: 64KiB': {
    options: { limits: { max_message: '64KiB' } },
    echoed: [65_535, 65_536],
    ends: [65_537, 1009],
  },
  [`max_message: ${MOST_BYTES}`]: { options: { limits: { max_message: MOST_BYTES } }, echoed: [2 ** 21] },
  'messages_per_second: 1': { options: { limits: { messages_per_second: 1 } }, echoed: [1], ends: [1, 1008] },
  'messages_per_second: 2^53 - 1': {
    options: { limits: { messages_per_second: Number.MAX_SAFE_INTEGER } },
    echoed: Array.from({ length: 500 }, () => 1),
  },
  'bytes_per_second: 1B': { options: { limits: { bytes_per_second: '1B' } }, echoed: [], ends: [2, 1008] },
  'bytes_per_second: 1KiB': {
    options: { limits: { bytes_per_second: '1KiB' } },
    echoed: [900],
    ends: [1_000_000, 1008],
  },
  [`bytes_per_second: ${MOST_BYTES}`]: {
    options: { limits: { bytes_per_second: MOST_BYTES } },
    echoed: [2 ** 19, 2 ** 19],
  },
  'timeouts.idle: 1ms': { options: { timeouts: { idle: '1ms' } }, echoed: [], ends: [null, 1001] },
  'timeouts.max_lifetime: 1ms': { options: { timeouts: { max_lifetime: '1ms' } }, echoed: [], ends: [null, 1001] },
  'ping.every: 1ms': { options: { ping: { every: '1ms', timeout: LONGEST } }, echoed: [1, 1] },
  'the longest waits': {
    options: { timeouts: { idle: LONGEST, max_lifetime: LONGEST }, ping: { every: LONGEST, timeout: LONGEST } },
    echoed: [1, 1],
  },
};
const NAMES = Object.keys(ROWS);

const ENGINES = [
  ['a spliced session, native relay', 'native', 'splice'],
  ['a spliced session, js relay', 'js', 'splice'],
  ['a terminated session', 'js', 'terminate'],
] as const;

describe.each(ENGINES)('%s', (_name, engine, mode) => {
  let echo: EchoServer;
  let gateway: Gateway;

  beforeAll(async () => {
    echo = await startEcho();
    gateway = await startGateway({
      listeners: [{ host: '127.0.0.1', port: 0 }],
      relay: { engine },
      upstreams: mode === 'splice' ? { echo: { servers: [`ws://127.0.0.1:${echo.port}`] } } : {},
      routes: NAMES.map((name, i) => ({
        name: `row${i}`,
        match: { path: `/${i}` },
        websocket: {
          ...(mode === 'splice' ? { mode, upstream: 'echo' } : { mode, handler: 'echo' as const }),
          origins: 'any',
          ...ROWS[name]!.options,
        },
      })),
    });
    expect((await gateway.log({ msg: 'started' }))['relay']).toBe(engine);
  });
  afterAll(async () => {
    await gateway?.stop('SIGKILL');
    echo?.close();
  });

  it.each(NAMES)('%s', async (name) => {
    const { echoed, ends } = ROWS[name]!;
    const client = await openClient(`ws://127.0.0.1:${gateway.port}/${NAMES.indexOf(name)}`, {
      perMessageDeflate: false,
    });
    for (const length of echoed) {
      client.socket.send('a'.repeat(length));
      expect(await client.next()).toHaveLength(length);
    }
    if (ends === undefined) {
      expect((await client.close()).code).toBe(1000);
      return;
    }
    const [length, code] = ends;
    if (length !== null) client.socket.send('a'.repeat(length));
    // A terminated session may run past a rate of bytes by one message, and the next one ends it.
    const over = mode === 'terminate' && name.startsWith('bytes_per_second') ? 1 : 0;
    if (over === 1) client.socket.send('a');
    expect((await client.closed).code).toBe(code);
    expect(client.messages).toHaveLength(echoed.length + over);
  });
});

describe('check', () => {
  const problemsOf = (mode: string, limits: string) => {
    const websocket = `{ mode: ${mode}, ${mode === 'splice' ? 'upstream: u' : 'handler: echo'}, limits: ${limits} }`;
    const text = `listeners: [{ port: 1 }]\nupstreams: { u: { servers: [ws://a:1] } }\nroutes:\n  - { name: a, http: { upstream: u }, websocket: ${websocket} }`;
    return parseConfig(text, { file: 'g', env: {} })
      .problems.map(formatProblem)
      .filter((line) => line.includes('error'));
  };

  it.each(
    ['splice', 'terminate'].flatMap((mode) =>
      [
        'max_message: 0B',
        'max_message: 0.4B',
        'bytes_per_second: 0B',
        'messages_per_second: 0',
        'messages_per_second: -1',
      ].map((limit) => [mode, limit] as const),
    ),
  )('%s, %s: an error, for it bounds nothing', (mode, limit) => {
    expect(problemsOf(mode, '{ max_message: 1B, bytes_per_second: 1B, messages_per_second: 1 }')).toEqual([]);
    const problems = problemsOf(mode, `{ ${limit} }`);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(`routes[0].websocket.limits.${limit.split(':')[0]}`);
  });

  it('max_head: 0B, which would be node’s own limit: an error', () => {
    const text =
      'listeners: [{ port: 1, max_head: 0B }]\nroutes:\n  - { name: a, websocket: { mode: terminate, handler: echo } }';
    const problems = parseConfig(text, { file: 'g', env: {} }).problems.map(formatProblem);
    expect(problems.join()).toContain('error: listeners[0].max_head: must be more than 0');
  });
});
