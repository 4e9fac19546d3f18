// nginx in the foreground, as a server or as a proxy beside the gateway.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { untilAccepts } from './accepts.ts';
import { closedPort } from './scripted.ts';

export interface Nginx {
  readonly port: number;
  stop(): Promise<void>;
}

/** Starts one on a free port, `conf` being what stands in `http {}`; it says nothing when it is ready, so it is asked. */
export async function startNginx(directory: string, conf: (port: number) => string): Promise<Nginx> {
  const port = await closedPort();
  const file = join(directory, 'nginx.conf');
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  for (const name of temp) mkdirSync(join(directory, name), { recursive: true });
  const paths = temp.map((name) => `${name}_temp_path ${join(directory, name)};`).join(' ');
  writeFileSync(
    file,
    `daemon off; master_process off; pid ${directory}/pid; error_log ${directory}/error.log; events {}
     http { access_log off; ${paths} ${conf(port)} }`,
  );
  const child = spawn('nginx', ['-c', file, '-p', directory], { stdio: 'ignore' });
  const exited = once(child, 'exit');
  await untilAccepts(port, exited);
  return {
    port,
    stop: async () => {
      if (child.exitCode !== null) return;
      child.kill('SIGKILL');
      await exited;
    },
  };
}
