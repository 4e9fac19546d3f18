// The backends of the soak and what happens to them: each in turn is killed, reset, frozen or made to talk garbage, and
// comes back on its old port.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const BACKEND = fileURLToPath(new URL('backend.mjs', import.meta.url));

class Backend {
  port = 0;
  #child = null;

  async start() {
    const child = fork(BACKEND, [String(this.port)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#child = child;
    const [{ port }] = await once(child, 'message');
    this.port = port;
  }

  async kill() {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGCONT');
    child.kill('SIGKILL');
    await gone;
  }

  signal(name) {
    this.#child.kill(name);
  }

  tell(command) {
    this.#child.send(command);
  }
}

/** What can happen to a backend; each leaves it as it was. */
const MISHAPS = {
  async kill(backend) {
    await backend.kill();
    await sleep(500);
    await backend.start();
  },
  async freeze(backend) {
    backend.signal('SIGSTOP');
    await sleep(1500);
    backend.signal('SIGCONT');
  },
  async reset(backend) {
    backend.tell('reset');
  },
  async garbage(backend) {
    backend.tell('garbage');
    await sleep(700);
    backend.tell('sane');
  },
};

export async function startFleet(count) {
  const backends = Array.from({ length: count }, () => new Backend());
  await Promise.all(backends.map((backend) => backend.start()));
  const happened = Object.fromEntries(Object.keys(MISHAPS).map((name) => [name, 0]));
  return {
    ports: backends.map(({ port }) => port),
    happened,
    /** One mishap after the other, on one backend after the other, until `over` says so. */
    async torment(over) {
      const names = Object.keys(MISHAPS);
      for (let i = 0; !over(); i++) {
        const name = names[i % names.length];
        await MISHAPS[name](backends[i % backends.length]);
        happened[name]++;
        await sleep(800);
      }
    },
    async stop() {
      await Promise.all(backends.map((backend) => backend.kill()));
    },
  };
}
