// The two connections to Redis, one for commands and one for the subscription. Both are opened together, lost together,
// and opened again until close(). The commands are in redis-scripts.ts.
import { ByteSemaphore } from '../../base/byte-semaphore.ts';
import { guarded, ignore } from '../../base/guard.ts';
import { bytesOf, type MemoryBudget } from '../../base/memory-budget.ts';
import { Reconnect } from '../../base/reconnect.ts';
import { startResponseTimeout } from '../../base/response-timeout.ts';
import {
  createRedisClient,
  destroyRedisClient,
  importRedis,
  type Redis,
  type RedisClient,
} from '../../net/redis-client.ts';
import { BrokerError } from './broker.ts';
import { SCRIPTS, type Script, type ScriptName } from './redis-scripts.ts';

/**
 * Milliseconds without any reply while one is pending: after them Redis counts as lost, though its connection may still
 * be open.
 */
const RESPONSE_TIMEOUT_MS = 3000;
/** Bytes of messages on their way to Redis at a time, so that what is small and urgent waits for no more than these. */
const MAX_UNDER_WAY = 4 * 1024 * 1024;
/** What a pending command costs in memory beside its arguments. */
const COMMAND_COST = 512;

export interface LinkOptions {
  readonly url: string;
  /** The channel to subscribe to. */
  readonly channel: string;
  /** First argument of every script. */
  readonly prefix: string;
  /** Both connections are open, and the channel is subscribed to. It may reject: then both are opened anew. */
  readonly onUp: () => Promise<void>;
  /** They are lost, or could not be opened. Called once until the next onUp. */
  readonly onDown: (reason: string) => void;
  /** Must not throw. */
  readonly onMessage: (text: string) => void;
  /** The budget in which commands count while they are queued or under way. */
  readonly queues: MemoryBudget;
}

/** A pair of connections while it lives. */
interface Pair {
  readonly commands: RedisClient;
  readonly feed: RedisClient;
  /** Answers that have come. */
  answers: number;
}

/** Loads the client library. Where it is not installed, rejects with a message for the operator. */
export async function loadRedis(): Promise<Redis> {
  try {
    return await importRedis();
  } catch (error) {
    throw new Error('broker: a Redis needs the npm package "redis" (npm install redis)', { cause: error });
  }
}

export class RedisLink {
  readonly #library: Redis;
  readonly #options: LinkOptions;
  #pair: Pair | null = null;
  readonly #reconnect = new Reconnect('redis', () => this.#open());
  readonly #underWay = new ByteSemaphore(MAX_UNDER_WAY);

  constructor(library: Redis, options: LinkOptions) {
    this.#library = library;
    this.#options = options;
  }

  start(): void {
    this.#reconnect.start();
  }

  close(): void {
    this.#reconnect.close();
    const pair = this.#pair;
    this.#pair = null;
    if (pair) destroy(pair);
  }

  /**
   * Runs a script. Rejects with a BrokerError: `unavailable` where it did not reach Redis, `unconfirmed` where Redis was lost
   * before it answered.
   */
  async run(name: ScriptName, ...args: readonly (string | number)[]): Promise<unknown> {
    const words = [this.#options.prefix, ...args.map(String)];
    const bytes = words.reduce((sum, word) => sum + bytesOf(word), COMMAND_COST);
    const { queues } = this.#options;
    if (!queues.fits(bytes)) throw new BrokerError('unavailable', 'too much waits for the broker');
    queues.add(bytes);
    try {
      return name === 'publish'
        ? await this.#queued(bytes, () => this.#ask(name, words))
        : await this.#ask(name, words);
    } finally {
      queues.remove(bytes);
    }
  }

  async #queued<T>(bytes: number, act: () => Promise<T>): Promise<T> {
    const turn = this.#underWay.acquire(bytes);
    if (turn !== null) await turn;
    try {
      return await act();
    } finally {
      this.#underWay.release(bytes);
    }
  }

  async #ask(name: ScriptName, words: readonly string[]): Promise<unknown> {
    const pair = this.#pair;
    if (pair === null) throw new BrokerError('unavailable', 'the broker is away');
    try {
      return await this.#answered(pair, evaluate(pair.commands, SCRIPTS[name], words));
    } catch (error) {
      // Redis itself answers with an error, such as OOM or READONLY: then it did nothing of the script's writes.
      if (error instanceof this.#library.ErrorReply)
        throw new BrokerError('unavailable', `the broker refused: ${error.message}`, error);
      throw new BrokerError('unconfirmed', 'the broker was lost meanwhile', error);
    }
  }

  /**
   * Resolves with the reply, unless Redis times out: then the pair is closed. Replies come in order, so while others
   * come, this one is on its way.
   */
  #answered<T>(pair: Pair, answer: Promise<T>): Promise<T> {
    let stop = ignore;
    const watch = (): void => {
      const before = pair.answers;
      stop = startResponseTimeout(RESPONSE_TIMEOUT_MS, () => {
        if (pair.answers === before) this.#lost(pair, 'Redis does not answer');
        else watch();
      });
    };
    watch();
    return answer.finally(() => {
      pair.answers++;
      stop();
    });
  }

  async #open(): Promise<void> {
    const client = () => createRedisClient(this.#library, this.#options.url);
    const pair: Pair = { commands: client(), feed: client(), answers: 0 };
    this.#pair = pair;
    try {
      for (const client of [pair.commands, pair.feed]) {
        client.on(
          'error',
          guarded('redis', (error: Error) => this.#lost(pair, error.message)),
        );
        client.on(
          'end',
          guarded('redis', () => this.#lost(pair, 'the connection ended')),
        );
      }
      await Promise.all([pair.commands.connect(), pair.feed.connect()]);
      await this.#answered(pair, pair.feed.subscribe(this.#options.channel, this.#options.onMessage));
      const loaded = Object.values(SCRIPTS).map(({ text }) => pair.commands.scriptLoad(text));
      await this.#answered(pair, Promise.all(loaded));
      await this.#options.onUp();
      this.#reconnect.succeeded();
    } catch (error) {
      this.#lost(pair, error instanceof Error ? error.message : String(error));
    }
  }

  /** Closes a pair and opens the next one after a backoff. Does nothing for a pair that is closed already. */
  #lost(pair: Pair, reason: string): void {
    if (this.#pair !== pair) return;
    this.#pair = null;
    destroy(pair);
    this.#options.onDown(reason);
    this.#reconnect.retry();
  }
}

function destroy({ commands, feed }: Pair): void {
  destroyRedisClient(commands);
  destroyRedisClient(feed);
}

async function evaluate(client: RedisClient, { text, sha }: Script, words: readonly string[]): Promise<unknown> {
  try {
    return await client.sendCommand(['EVALSHA', sha, '0', ...words]);
  } catch (error) {
    // Someone has flushed the scripts.
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return client.sendCommand(['EVAL', text, '0', ...words]);
  }
}
