// A real Firefox, Debian's, headless: driven by Marionette, the protocol that it has for it, so that no driver is needed.
// A message is `length:[0, id, command, parameters]`, an answer `length:[1, id, error, result]`.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startChild } from './child.ts';

const PREFERENCES = [
  // The system picks it, and a line of the output says which.
  ['marionette.port', 0],
  ['app.normandy.enabled', false],
  ['app.update.disabledForTesting', true],
  ['browser.startup.page', 0],
  ['datareporting.policy.dataSubmissionEnabled', false],
  ['extensions.systemAddon.update.enabled', false],
  ['network.captive-portal-service.enabled', false],
  ['network.connectivity-service.enabled', false],
  ['services.settings.server', 'http://127.0.0.1:1'],
  ['toolkit.telemetry.enabled', false],
] as const;

export interface Firefox {
  open(url: string): Promise<void>;
  /** Runs the body of an async function in the page, and gives what it returns. */
  run<T>(body: string): Promise<T>;
  /** What the page looks like, as PNG. */
  screenshot(): Promise<Buffer>;
  close(): Promise<void>;
}

/** Starts a browser that takes any certificate; `hasPeers('firefox-esr')` tells whether there is one. */
export async function openFirefox(): Promise<Firefox> {
  const profile = mkdtempSync(join(tmpdir(), 'upgate-firefox-'));
  writeFileSync(
    join(profile, 'user.js'),
    PREFERENCES.map((pair) => `user_pref(${pair.map((part) => JSON.stringify(part)).join(', ')});\n`).join(''),
  );
  const args = ['--headless', '--marionette', '--no-remote', '--profile', profile];
  const child = await startChild('firefox-esr', args, {
    // Tests run as root in containers, where its own sandbox can't be, and nothing is to be found under HOME.
    env: { HOME: profile, MOZ_DISABLE_CONTENT_SANDBOX: '1', MOZ_CRASHREPORTER_DISABLE: '1' },
  });
  const port = await child.line((line) => /Listening on port (\d+)/.exec(line)?.[1], 'its port', 120_000);
  const marionette = await Marionette.connect(Number(port));
  await marionette.send('WebDriver:NewSession', { acceptInsecureCerts: true });
  return {
    open: async (url) => void (await marionette.send('WebDriver:Navigate', { url })),
    run: async <T>(body: string): Promise<T> => {
      const script = `const done = arguments[arguments.length - 1];
        (async () => { ${body} })().then((value) => done({ value }), (error) => done({ error: String(error) }));`;
      // Without a sandbox of its own, so that the page's handlers of events are those of the script.
      const { value } = await marionette.send('WebDriver:ExecuteAsyncScript', { script, args: [], sandbox: null });
      const answer = value as { value: T; error?: string };
      if (answer.error !== undefined) throw new Error(answer.error);
      return answer.value;
    },
    screenshot: async () => {
      const { value } = await marionette.send('WebDriver:TakeScreenshot', { full: false });
      return Buffer.from(String(value), 'base64');
    },
    close: async () => {
      marionette.close();
      await child.stop('SIGTERM');
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

class Marionette {
  readonly #socket: Socket;
  readonly #waiting = new Map<
    number,
    { resolve: (result: { value?: unknown }) => void; fail: (error: Error) => void }
  >();
  #held = Buffer.alloc(0);
  #ids = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => this.#take(chunk));
    const over = () => {
      for (const { fail } of this.#waiting.values()) fail(new Error('the browser has ended'));
    };
    socket.on('error', over).on('close', over);
  }

  static async connect(port: number): Promise<Marionette> {
    const socket = connect({ port, host: '127.0.0.1' });
    await new Promise<void>((resolve, fail) => socket.once('connect', resolve).once('error', fail));
    return new Marionette(socket);
  }

  send(command: string, parameters: object): Promise<{ value?: unknown }> {
    const id = ++this.#ids;
    const text = JSON.stringify([0, id, command, parameters]);
    this.#socket.write(`${Buffer.byteLength(text)}:${text}`);
    return new Promise((resolve, fail) => this.#waiting.set(id, { resolve, fail }));
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#held = Buffer.concat([this.#held, chunk]);
    for (;;) {
      const colon = this.#held.indexOf(':');
      const end = colon + 1 + Number(this.#held.toString('latin1', 0, Math.max(colon, 0)));
      if (colon < 0 || this.#held.length < end) return;
      const message = JSON.parse(this.#held.toString('utf8', colon + 1, end)) as unknown;
      this.#held = this.#held.subarray(end);
      // The first one is a greeting.
      if (!Array.isArray(message)) continue;
      const [, id, error, result] = message as [number, number, { message: string } | null, { value?: unknown } | null];
      const { resolve, fail } = this.#waiting.get(id) ?? {};
      this.#waiting.delete(id);
      if (error === null) resolve?.(result ?? {});
      else fail?.(new Error(error.message));
    }
  }
}
