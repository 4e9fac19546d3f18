// The image, built by its Dockerfile's own instructions in an empty directory, and what is started from it; the same for the
// steps that the systemd unit names. Either has the native relay. That no file is missing is seen without building, too.
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments, parseDocument } from 'yaml';
import { type LineChild, startChild } from '../support/child.ts';
import { openClient } from '../support/client.ts';
import { buildImage, type Image, isKept, parseCopy, parseDockerfile, readDockerignore } from '../support/dockerfile.ts';
import { closedPort } from '../support/scripted.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (name: string) => readFileSync(join(root, name), 'utf8');
/** `nonroot` of the distroless images. */
const NONROOT = 65_532;
/** npm installs, and the compilers run. */
const BUILD_MS = 480_000;

/** The config with free ports in the place of those written in it, and which became which. */
async function withFreePorts(text: string): Promise<{ text: string; ports: Map<string, string> }> {
  const ports = new Map<string, string>();
  for (const [, port = ''] of text.matchAll(/\bport: (\d+)/g)) ports.set(port, `${await closedPort()}`);
  return { text: text.replaceAll(/\bport: (\d+)/g, (_, port: string) => `port: ${ports.get(port)}`), ports };
}

const started = (child: LineChild) =>
  child.line((line) => {
    const log = JSON.parse(line) as Record<string, unknown>;
    return log['msg'] === 'started' ? log : undefined;
  }, 'the start');

const dockerfiles = readdirSync(join(root, 'deploy'), { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.includes('Dockerfile'),
);

describe.each(dockerfiles)('deploy/%s', (name) => {
  const dockerfile = `deploy/${name}`;
  const instructions = parseDockerfile(read(dockerfile));

  it('copies only what is there and what .dockerignore lets through', () => {
    const kept = readDockerignore(read('.dockerignore'));
    expect(kept.filter((path) => !existsSync(join(root, path)))).toEqual([]);
    const copies = instructions.filter((one) => one.name === 'COPY').map(({ rest }) => parseCopy(rest));
    const fromHere = copies.filter(({ from }) => from === null).flatMap(({ sources }) => sources);
    expect(fromHere.length).toBeGreaterThan(4);
    expect(fromHere.filter((path) => !existsSync(join(root, path)) || !isKept(path, kept))).toEqual([]);
  });

  describe('built', () => {
    let directory: string;
    let image: Image;
    let node: string;
    beforeAll(async () => {
      directory = mkdtempSync(join(tmpdir(), 'upgate-image-'));
      chmodSync(directory, 0o755);
      image = await buildImage(root, dockerfile, directory);
      // As in the base image; ours may stand where only we may go.
      node = join(image.root, 'nodejs/bin/node');
      mkdirSync(dirname(node), { recursive: true });
      cpSync(process.execPath, node);
      chmodSync(node, 0o755);
    }, BUILD_MS);
    afterAll(() => rmSync(directory, { recursive: true, force: true }));

    /** Starts what CMD says, on a config at its place with free ports, as the image's user. */
    async function start(config: string): Promise<{ child: LineChild; ports: Map<string, string>; file: string }> {
      const { text, ports } = await withFreePorts(config);
      const written = image.cmd.find((word) => word.startsWith('/')) ?? '';
      const file = join(image.root, written);
      writeFileSync(file, text);
      const args = image.cmd.map((word) => (word === written ? file : word));
      const { cwd, env } = image;
      return { child: await startChild(node, args, { cwd, env, user: NONROOT }), ports, file };
    }

    it('starts as its user with the native relay, serves, and passes its health check', async () => {
      expect(image.base).toMatch(/nodejs\d+-debian\d+:nonroot$/);
      const { child, ports, file } = await start(readFileSync(join(image.root, 'etc/upgate/gateway.yaml'), 'utf8'));
      expect(await started(child)).toMatchObject({
        relay: 'native',
        version: JSON.parse(read('package.json')).version,
      });
      const client = await openClient(`ws://127.0.0.1:${ports.get('8080')}/echo`);
      client.socket.send('from the image');
      expect(await client.next()).toBe('from the image');
      await client.close();
      const [program, ...args] = image.healthcheck;
      expect(program).toBe('/nodejs/bin/node');
      const check = await startChild(
        node,
        args.map((word) => (word.startsWith('/') ? file : word)),
        { cwd: image.cwd, env: image.env, user: NONROOT },
      );
      expect(await check.exited).toBe(0);
      expect(await child.stop()).toBe(0);
    });

    it('starts on the config of the Kubernetes manifests, with the native relay', async () => {
      const { data } = parseDocument(read('deploy/kubernetes/base/configmap.yaml')).toJS();
      const { child } = await start(data['gateway.yaml']);
      expect(await started(child)).toMatchObject({ relay: 'native' });
      expect(await child.stop()).toBe(0);
    });

    it('starts on the configs of compose, with the native relay', async () => {
      for (const name of ['backend', 'gateway']) {
        const text = read(`deploy/compose/${name}/gateway.yaml`).replaceAll(/\$\{\w*_?PORT:-(\d+)\}/g, '$1');
        const { child } = await start(text);
        expect(await started(child)).toMatchObject({ relay: 'native' });
        expect(await child.stop()).toBe(0);
      }
    });

    it('leaves what only building needs behind', () => {
      for (const name of ['typescript', 'vitest', '@biomejs/biome']) {
        expect(existsSync(join(image.cwd, 'node_modules', name)), name).toBe(false);
      }
    });
  });
});

it('every manifest names the image that is built, and compose builds it from the Dockerfile', () => {
  const { version } = JSON.parse(read('package.json'));
  const compose = parseDocument(read('deploy/compose.yaml'), { merge: true }).toJS();
  const { gateway, backend } = compose.services;
  for (const service of [gateway, backend]) {
    expect(service.image).toBe(`upgate:${version}`);
    expect(join(root, 'deploy', service.build.context, service.build.dockerfile)).toBe(join(root, 'deploy/Dockerfile'));
  }
  const [deployment] = parseAllDocuments(read('deploy/kubernetes/base/deployment.yaml')) as ReturnType<
    typeof parseDocument
  >[];
  expect(deployment!.toJS().spec.template.spec.containers[0].image).toBe(gateway.image);
});

it('the systemd unit starts what its steps install, with the native relay', async () => {
  const unit = read('deploy/systemd/upgate.service');
  const { name: packed, version, files } = JSON.parse(read('package.json'));
  expect(unit).toContain(`tar -xzf ${packed}-${version}.tgz -C /opt/upgate --strip-components=1`);
  const directory = mkdtempSync(join(tmpdir(), 'upgate-unit-'));
  const [opt, etc] = [join(directory, 'opt'), join(directory, 'etc')];
  for (const made of [opt, etc]) mkdirSync(made);
  // What the package has; the relay that is compiled here stands for the one that `npm pack` compiles.
  for (const name of ['package.json', 'native', ...files])
    if (existsSync(join(root, name))) cpSync(join(root, name), join(opt, name), { recursive: true });
  const { text } = await withFreePorts(
    'listeners: [{ port: 8080 }]\nadmin: { port: 9901 }\nroutes: [{ name: a, respond: { status: 204 } }]\n',
  );
  writeFileSync(join(etc, 'gateway.yaml'), text);
  const commands = [...unit.matchAll(/^Exec(?:StartPre|Start)=(.+)$/gm)].map(([, command = '']) =>
    command.replaceAll('/opt/upgate/', `${opt}/`).replaceAll('/etc/upgate/', `${etc}/`).split(' '),
  );
  const [check, run] = commands;
  expect(commands.map(([program]) => program)).toEqual(['/usr/bin/node', '/usr/bin/node']);
  const checked = await startChild(process.execPath, check!.slice(1), { cwd: '/' });
  expect(await checked.exited).toBe(0);
  const child = await startChild(process.execPath, run!.slice(1), { cwd: '/', env: { NODE_ENV: 'production' } });
  expect(await started(child)).toMatchObject({ relay: 'native' });
  expect(await child.stop()).toBe(0);
  rmSync(directory, { recursive: true });
});
