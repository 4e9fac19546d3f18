// A child process whose standard output (or error) is read line by line: the gateway, a Python server, Prometheus. Every
// one that is still running when the test process ends is killed. Not for short commands: those are run() below.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { TEST_TIMEOUT_MS } from './test-timeout.ts';

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export interface LineChild {
  readonly pid: number;
  /** Every line so far of the stream that is read by lines: standard output unless told otherwise. */
  readonly lines: readonly string[];
  /** All of standard error so far. */
  stderr(): string;
  /** The first line, past or future, that `wanted` turns into something; rejects when the child ends without one. */
  line<T>(wanted: (line: string) => T | undefined, what: string, timeoutMs?: number): Promise<T>;
  /** Sends the signal. */
  signal(name: NodeJS.Signals): void;
  /** Resolves once the child has ended, with its exit code, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>;
  /** Sends the signal if the child still runs, and waits for its end; kills it after `graceMs`. */
  stop(signal?: NodeJS.Signals, graceMs?: number): Promise<number | NodeJS.Signals>;
}

export interface ChildOptions {
  /** Added to our own. */
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** The user and group to run as, where we are root; default: our own. */
  readonly user?: number;
  /** Descriptors that it finds as 3 and following. */
  readonly fds?: readonly number[];
  /** Where its lines are read from; default standard output. */
  readonly lines?: 'stdout' | 'stderr';
}

/** Starts a program; throws if it can't be started at all. */
export async function startChild(
  command: string,
  args: readonly string[],
  options: ChildOptions = {},
): Promise<LineChild> {
  const { cwd, user, fds = [] } = options;
  const child = spawn(command, args, {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe', ...fds],
    ...(cwd === undefined ? {} : { cwd }),
    ...(user === undefined || process.getuid?.() !== 0 ? {} : { uid: user, gid: user }),
  });
  await once(child, 'spawn');
  running.add(child);
  const lines: string[] = [];
  const listeners = new Set<(line: string) => void>();
  let errors = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  if (options.lines === 'stderr') child.stdout!.resume();
  createInterface({ input: child[options.lines ?? 'stdout']! }).on('line', (line) => {
    lines.push(line);
    for (const listener of listeners) listener(line);
  });
  const exited = new Promise<number | NodeJS.Signals>((resolve) => {
    // `close` and not `exit`: the last lines have been read by then.
    child.once('close', (code, signal) => {
      running.delete(child);
      resolve(code ?? signal ?? -1);
    });
  });
  const self: LineChild = {
    pid: child.pid!,
    lines,
    exited,
    stderr: () => errors,
    signal: (name) => void child.kill(name),
    line: (wanted, what, timeoutMs = TEST_TIMEOUT_MS) =>
      new Promise((resolve, reject) => {
        const settle = (act: () => void) => {
          clearTimeout(timer);
          listeners.delete(look);
          act();
        };
        const fail = (why: string) =>
          settle(() =>
            reject(new Error(`${why} while waiting for ${what}\n${lines.slice(-20).join('\n')}\n${errors}`)),
          );
        const look = (line: string) => {
          const found = wanted(line);
          if (found !== undefined) settle(() => resolve(found));
          return found !== undefined;
        };
        const timer = setTimeout(() => fail(`${timeoutMs} ms passed`), timeoutMs);
        if (lines.some(look)) return;
        listeners.add(look);
        void exited.then((code) => fail(`${command} ended (${code})`));
      }),
    stop: async (signal = 'SIGTERM', graceMs = TEST_TIMEOUT_MS) => {
      if (running.has(child)) child.kill(signal);
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      const code = await exited;
      clearTimeout(timer);
      return code;
    },
  };
  return self;
}

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a short command to its end; a non-zero exit code is a value, not an error. */
export function run(command: string, args: readonly string[], input?: string): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      command,
      args,
      { timeout: 60_000, maxBuffer: 64 << 20, encoding: 'utf8' },
      (error, stdout, stderr) => {
        if (error && typeof error.code !== 'number') reject(error);
        else resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
      },
    );
    // A command that does not read its input to the end closes the pipe; its exit code tells the rest.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input ?? '');
  });
}
