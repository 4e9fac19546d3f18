// Many native dials at once: each gets one result, with what its own server sent, whatever the others' callers do meanwhile.
// What is told at once is a batch, and a caller may start and cancel dials while others of its batch have not been called.
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import net from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Defect, onDefect } from '../../src/base/guard.ts';
import { ClientClosed } from '../../src/net/client-closed.ts';
import type { DialCaller, Dialler, DialRequest } from '../../src/net/dialler.ts';
import type { Endpoint } from '../../src/net/endpoint.ts';
import type { FdConnection } from '../../src/net/fd-connection.ts';
import { ADDON } from '../../src/relay/native/addon.ts';
import { NativeRelay } from '../../src/relay/native/native.ts';
import type { TunnelEnd } from '../../src/relay/relay.ts';
import { requestNatively } from '../../src/upstream/handshake/native-upgrade.ts';
import { blockThread } from '../support/block-thread.ts';
import { TEST_TIMEOUT_MS } from '../support/test-timeout.ts';
import { connect, HEAD, OPTIONS } from '../support/tunnel-fixture.ts';

const { UPGATE_NATIVE: addon = ADDON } = process.env;

const MANY = 200;
const INTERIM = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n';
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';
const final = (n: string) => `HTTP/1.1 101 Switching Protocols\r\nX-Number: ${n}\r\n\r\n`;
const halves = (text: string) => [text.slice(0, 20), text.slice(20)];

/** What a server says at once, and what in each round after that. */
type Script = (n: string) => readonly string[];

const SCRIPTS: Readonly<Record<string, Script>> = {
  'at once': (n) => [final(n)],
  'behind an interim answer': (n) => [INTERIM, final(n)],
  'in pieces': (n) => halves(final(n)),
  'behind several interim answers, in pieces': (n) => [
    INTERIM.slice(0, 9),
    INTERIM.slice(9) + CONTINUE,
    ...halves(final(n)),
  ],
  'with interim answers in one piece': (n) => [INTERIM + CONTINUE + final(n)],
};

describe.skipIf(!existsSync(addon))('many native dials at once', () => {
  const cleanup: (() => unknown)[] = [];
  let defects: Defect[];
  let dialler: Dialler;
  let endpoint: Endpoint;
  let relay: NativeRelay;
  /** Connections that have said what they want, by the path of their request. */
  let asked: Map<string, net.Socket>;

  beforeEach(async () => {
    defects = [];
    cleanup.push(onDefect((defect) => defects.push(defect)));
    asked = new Map();
    const server = net.createServer({ noDelay: true }, (socket) => {
      socket.on('error', () => undefined);
      cleanup.push(() => socket.destroy());
      let head = '';
      socket.on('data', (chunk) => {
        head += chunk;
        if (head.endsWith('\r\n\r\n')) asked.set(head.split(' ')[1]!.slice(1), socket);
      });
    });
    await once(server.listen(0, '127.0.0.1', 1024), 'listening');
    cleanup.push(() => server.close());
    const { port } = server.address() as net.AddressInfo;
    endpoint = { url: `ws://127.0.0.1:${port}`, secure: false, host: '127.0.0.1', port };
  });
  afterEach(async () => {
    for (const undo of cleanup.splice(0).reverse()) await undo();
    expect(defects).toEqual([]);
  });

  async function start(threads: number): Promise<void> {
    relay = new NativeRelay(threads, addon);
    const { accepted, dialled } = await connect('plain');
    dialler = relay.diallerFor(accepted)!;
    cleanup.push(() => {
      relay.stop();
      accepted.destroy();
      dialled.destroy();
    });
  }

  const request = (n: number, gone = new ClientClosed()) => {
    const timeouts = { connect: TEST_TIMEOUT_MS, handshake: TEST_TIMEOUT_MS };
    const outcome = requestNatively(dialler, endpoint, {
      preamble: null,
      handshake: `GET /${n} HTTP/1.1\r\n\r\n`,
      timeouts,
      clientClosed: gone,
    });
    return outcome.then(
      ({ head, socket }) => {
        socket.destroy();
        return head.fields[head.names.indexOf('x-number') * 2 + 1];
      },
      (error: { code: string }) => error.code,
    );
  };

  /** All servers say their first, and then each round their next; the threads have read it before this one hears of any. */
  async function answer(script: (n: number) => Script, before = () => {}): Promise<void> {
    await expect.poll(() => asked.size, { timeout: TEST_TIMEOUT_MS, interval: 2 }).toBe(MANY);
    before();
    const left = [...asked].map(([n, socket]) => ({ socket, says: [...script(Number(n))(n)] }));
    while (left.some(({ says }) => says.length > 0)) {
      await Promise.all(
        left.map(({ socket, says }) => {
          const text = says.shift();
          return text === undefined || socket.destroyed ? null : new Promise((written) => socket.write(text, written));
        }),
      );
      blockThread(20);
      await new Promise((wake) => setImmediate(wake));
    }
  }

  describe.each([1, 2])('on %i threads', (threads) => {
    it.each(Object.keys(SCRIPTS))('answered half at once and half %s: each gets its own answer', async (name) => {
      await start(threads);
      const outcomes = Promise.all(Array.from({ length: MANY }, (_, n) => request(n)));
      await answer((n) => SCRIPTS[n % 2 === 0 ? 'at once' : name]!);
      expect(await outcomes).toEqual(Array.from({ length: MANY }, (_, n) => `${n}`));
    });

    it('answered in every way at once, while clients leave before, between and behind the answers', async () => {
      await start(threads);
      const before = readdirSync('/proc/self/fd').length;
      const clients = Array.from({ length: MANY }, () => new ClientClosed());
      const names = Object.keys(SCRIPTS);
      const outcomes = clients.map((gone, n) => request(n, gone));
      // Those whose answer is in the same batch go as soon as somebody else has his.
      for (const n of [10, 60, 110])
        void outcomes[n]!.then(() => {
          for (const gone of clients.slice(n + 1, n + 10)) gone.notify();
        });
      const leave = () => {
        for (const gone of clients.slice(150, 160)) gone.notify();
      };
      await answer((n) => SCRIPTS[names[n % names.length]!]!, leave);
      for (const gone of clients.slice(160, 170)) gone.notify();
      const got = await Promise.all(outcomes);
      for (const [n, outcome] of got.entries()) expect(['client_gone', `${n}`]).toContain(outcome);
      for (const n of [0, 10, 60, 110, 149, 199]) expect(got[n]).toBe(`${n}`);
      for (const n of [150, 159]) expect(got[n]).toBe('client_gone');
      // The servers' ends are in this process too.
      for (const socket of asked.values()) socket.destroy();
      await expect.poll(() => readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before);
    });
  });

  /** Dials whose answers are told of in one batch: their callers are called one behind the other. */
  async function batch(callers: readonly DialCaller[]) {
    const dials = callers.map((caller, n) => {
      const request: DialRequest = {
        address: endpoint.host,
        port: endpoint.port,
        bytes: `GET /${n} HTTP/1.1\r\n\r\n`,
        connectMs: TEST_TIMEOUT_MS,
        answerMs: TEST_TIMEOUT_MS,
        maxHead: 4096,
      };
      return dialler.dial(request, caller);
    });
    await expect.poll(() => asked.size, { timeout: TEST_TIMEOUT_MS, interval: 2 }).toBe(callers.length);
    await Promise.all([...asked].map(([n, socket]) => new Promise((written) => socket.write(final(n), written))));
    blockThread(50);
    return dials;
  }

  /** Notes who was called; the first one called does `then` before anybody else is. */
  function noting(then: (connection: FdConnection, self: DialCaller) => void) {
    const called: string[] = [];
    const caller = (name: string): DialCaller => {
      const self: DialCaller = {
        onHead(connection) {
          called.push(name);
          if (called.length === 1) then(connection, self);
          else connection.destroy();
        },
        failed: (why) => void called.push(`${name} ${why}`),
      };
      return self;
    };
    return { called, caller };
  }

  it('one that is cancelled by the caller of another of its batch is not called, and its connection ends', async () => {
    await start(1);
    const { called, caller } = noting((connection) => {
      connection.destroy();
      for (const dial of dials) dialler.cancel(dial);
    });
    const dials = await batch([caller('a'), caller('b'), caller('c')]);
    const ended = [...asked.values()].map((socket) => once(socket.resume(), 'close'));
    await Promise.all(ended);
    expect(called).toEqual([expect.stringMatching(/^[abc]$/)]);
  });

  it('one that is started by the caller of another takes nobody’s place', async () => {
    await start(1);
    const { called, caller } = noting((connection, self) => {
      const wait = { answerMs: TEST_TIMEOUT_MS, maxHead: 4096 };
      dialler.collect(connection, Buffer.from('held\r\n\r\n'), wait, {
        ...self,
        onHead: (again) => again.destroy(),
        failed: () => {},
      });
    });
    await batch([caller('a'), caller('b'), caller('c')]);
    await expect.poll(() => [...called].sort()).toEqual(['a', 'b', 'c']);
  });

  it('what a caller throws costs its own connection, and is counted once', async () => {
    await start(1);
    const { called, caller } = noting(() => {
      throw new Error('a caller broke');
    });
    await batch([caller('a'), caller('b'), caller('c')]);
    await Promise.all([...asked.values()].map((socket) => once(socket.resume(), 'close')));
    expect([...called].sort()).toEqual(['a', 'b', 'c']);
    expect(defects.splice(0)).toEqual([{ where: 'handshake', thrown: new Error('a caller broke'), id: null }]);
  });

  it('dials of a burst are spread over the threads, and a tunnel is opened where its backend was dialled', async () => {
    await start(2);
    const threads: number[] = [];
    const tunnels: (() => void)[] = [];
    const opened = Array.from({ length: 20 }, async (): Promise<TunnelEnd> => {
      const { accepted, dialled } = await connect('plain');
      cleanup.push(() => dialled.destroy());
      return new Promise((onEnd) => {
        const request = {
          address: endpoint.host,
          port: endpoint.port,
          connectMs: TEST_TIMEOUT_MS,
          answerMs: TEST_TIMEOUT_MS,
          maxHead: 4096,
        };
        dialler.dial(
          { ...request, bytes: `GET /${threads.length}-${accepted.remotePort} HTTP/1.1\r\n\r\n` },
          {
            onHead(backend) {
              threads.push(backend.thread);
              const ends = {
                client: accepted,
                backend,
                toClient: HEAD,
                headLength: HEAD.length,
                toBackend: Buffer.alloc(0),
              };
              const tunnel = relay.open(ends, OPTIONS, onEnd) as unknown as { id: number; cut(reason: string): void };
              expect(tunnel.id % 16).toBe(backend.thread);
              tunnels.push(() => tunnel.cut('test'));
            },
            failed: (why) => expect.unreachable(why),
          },
        );
      });
    });
    await expect.poll(() => asked.size, { timeout: TEST_TIMEOUT_MS, interval: 2 }).toBe(20);
    for (const [n, socket] of asked) socket.write(final(n));
    await expect.poll(() => tunnels.length, { timeout: TEST_TIMEOUT_MS, interval: 2 }).toBe(20);
    expect(threads.filter((thread) => thread === 0)).toHaveLength(10);
    for (const cut of tunnels) cut();
    await Promise.all(opened);
  });

  it('what is thrown by who hears of a tunnel’s end costs nobody else’s', async () => {
    await start(1);
    const ended: string[] = [];
    const tunnels = await Promise.all(
      ['a', 'b', 'c'].map(async (name) => {
        const { accepted, dialled } = await connect('plain');
        const other = await connect('plain');
        cleanup.push(() => [dialled, other.dialled].map((socket) => socket.destroy()));
        const ends = {
          client: accepted,
          backend: other.accepted,
          toClient: HEAD,
          headLength: HEAD.length,
          toBackend: Buffer.alloc(0),
        };
        return relay.open(ends, OPTIONS, () => {
          ended.push(name);
          if (ended.length === 1) throw new Error('who heard broke');
        });
      }),
    );
    for (const tunnel of tunnels) tunnel.cut('test');
    await expect.poll(() => [...ended].sort()).toEqual(['a', 'b', 'c']);
    expect(defects.splice(0)).toEqual([{ where: 'relay', thrown: new Error('who heard broke'), id: null }]);
  });
});
