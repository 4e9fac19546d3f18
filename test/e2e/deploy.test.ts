// The files of deploy/: they are YAML, the configs in them pass the check that users run, what they say about ports and
// times agrees with those configs, and the two gateways of compose.yaml work together.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments, parseDocument } from 'yaml';
import { run, startChild } from '../support/child.ts';
import { openClient } from '../support/client.ts';
import { MAIN, writeConfig } from '../support/gateway.ts';
import { faultsOfManifest } from '../support/kubernetes.ts';
import { hasPeers } from '../support/peers.ts';
import { closedPort } from '../support/scripted.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const deploy = `${root}deploy/`;
const read = (name: string) => readFileSync(`${deploy}${name}`, 'utf8');
const files = readdirSync(deploy, { recursive: true, encoding: 'utf8' });
const yamls = files.filter((name) => /\.ya?ml$/.test(name));

interface Gateway {
  readonly listeners: readonly { readonly port: number }[];
  readonly admin: { readonly port: number };
  readonly drain: { readonly delay: string; readonly grace: string };
}

const manifest = (name: string) => parseDocument(read(`kubernetes/base/${name}.yaml`)).toJS();
const inConfigMap = (): string => manifest('configmap').data['gateway.yaml'];
const seconds = (text: string) => Number(/^(\d+)s$/.exec(text)?.[1]);

it.each(yamls)('%s is YAML without a fault', (name) => {
  const documents = parseAllDocuments(read(name), { strict: true, uniqueKeys: true });
  expect(Array.isArray(documents) && documents.length).toBeGreaterThan(0);
  for (const document of documents as ReturnType<typeof parseDocument>[]) {
    expect([...document.errors, ...document.warnings]).toEqual([]);
  }
});

describe('configs', () => {
  const shipped = {
    'gateway.yaml': () => `${root}gateway.yaml`,
    'container.yaml': () => `${deploy}container.yaml`,
    'compose/gateway': () => `${deploy}compose/gateway/gateway.yaml`,
    'compose/backend': () => `${deploy}compose/backend/gateway.yaml`,
    'kubernetes/base/configmap.yaml': () => writeConfig(inConfigMap()),
    // Its certificate is in a secret.
    'kubernetes/production/gateway.yaml': () =>
      writeConfig(
        read('kubernetes/production/gateway.yaml').replace(/certificates: \[.*\]/, 'self_signed: [localhost]'),
      ),
  };

  it.each(Object.entries(shipped))('%s passes the check', async (_, file) => {
    const { code, stdout, stderr } = await run(process.execPath, [MAIN, 'check', '-c', file()]);
    expect({ code, text: `${stdout}${stderr}` }).toEqual({ code: 0, text: expect.not.stringMatching(/error|warning/) });
  });
});

describe('Dockerfile', () => {
  const text = read('Dockerfile').replaceAll('\\\n', ' ');
  const lines = (instruction: string) =>
    [...text.matchAll(new RegExp(`^\\s*${instruction}\\s+(.*)$`, 'gm'))].map(([, rest]) => rest!.trim());

  it('exposes the ports of its config and runs the program that is built', () => {
    const config = parseDocument(read('container.yaml')).toJS() as Gateway;
    const ports = [...config.listeners.map(({ port }) => port), config.admin.port];
    expect(lines('EXPOSE')).toEqual([ports.join(' ')]);
    expect(JSON.parse(lines('CMD').at(-1)!)).toEqual(['dist/main.js', 'run', '-c', '/etc/upgate/gateway.yaml']);
    expect(lines('STOPSIGNAL')).toEqual(['SIGTERM']);
    expect(lines('FROM').at(-1)).toMatch(/:nonroot$/);
  });
});

describe('kubernetes', () => {
  const config = parseDocument(inConfigMap()).toJS() as Gateway;
  const { spec } = manifest('deployment');
  const pod = spec.template.spec;
  const [container] = pod.containers;

  it('names the ports of its config', () => {
    const ports = Object.fromEntries(
      container.ports.map((port: { name: string; containerPort: number }) => [port.name, port.containerPort]),
    );
    expect(ports).toEqual({ http: config.listeners[0]!.port, admin: config.admin.port });
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'])
      expect(container[probe].httpGet.port).toBe('admin');
    expect(manifest('service').spec.ports).toEqual([expect.objectContaining({ targetPort: 'http' })]);
  });

  it('gives a drain its time, and never takes a pod before there is another', () => {
    const needed =
      container.lifecycle.preStop.sleep.seconds + seconds(config.drain.delay) + seconds(config.drain.grace);
    expect(pod.terminationGracePeriodSeconds).toBe(needed + 5);
    expect(spec.strategy.rollingUpdate.maxUnavailable).toBe(0);
  });

  it('selects its own pods, and lists its files', () => {
    const { labels } = spec.template.metadata;
    for (const selector of [
      spec.selector.matchLabels,
      manifest('service').spec.selector,
      manifest('poddisruptionbudget').spec.selector.matchLabels,
    ]) {
      expect(labels).toMatchObject(selector);
    }
    const listed = [...manifest('kustomization').resources, 'kustomization.yaml'].sort();
    expect(
      files
        .filter((name) => name.startsWith('kubernetes/base/'))
        .map((name) => name.slice('kubernetes/base/'.length))
        .sort(),
    ).toEqual(listed);
    expect(container.volumeMounts[0]).toMatchObject({ mountPath: '/etc/upgate' });
    expect(container.volumeMounts[0].subPath).toBeUndefined();
  });
});

describe('every manifest', () => {
  const manifests = yamls.filter(
    (name) => name.startsWith('kubernetes/') && name !== 'kubernetes/production/gateway.yaml',
  );
  /** What users name themselves. */
  const FREE = new Set(['labels', 'matchLabels', 'annotations', 'data', 'selector']);

  /** The manifest once for each of its keys, with that key written wrong. */
  function* misspelled(value: unknown, put: (changed: unknown) => unknown): Iterable<readonly [string, unknown]> {
    if (typeof value !== 'object' || value === null) return;
    for (const [key, inner] of Object.entries(value)) {
      const others = Object.entries(value).filter(([name]) => name !== key);
      const again = (changed: unknown, name = key) =>
        put(
          Array.isArray(value) ? value.with(Number(key), changed) : { ...Object.fromEntries(others), [name]: changed },
        );
      if (!Array.isArray(value)) yield [key, again(inner, `${key}x`)];
      const free = FREE.has(key) && Object.values(inner as object).every((one) => typeof one === 'string');
      if (!free) yield* misspelled(inner, again);
    }
  }

  it.each(manifests)('%s is what its kind takes, and none is with any of its keys misspelled', (name) => {
    const manifest: unknown = parseDocument(read(name)).toJS();
    expect(faultsOfManifest(manifest)).toEqual([]);
    const changed = [...misspelled(manifest, (whole) => whole)];
    expect(changed.length).toBeGreaterThan(2);
    expect(changed.filter(([, wrong]) => faultsOfManifest(wrong).length === 0).map(([key]) => key)).toEqual([]);
  });

  it('with a value of another kind is refused, and so is a kind that is not known', () => {
    const deployment = manifest('deployment');
    deployment.spec.template.spec.containers[0].readinessProbe.periodSeconds = '2s';
    deployment.spec.strategy.rollingUpdate.maxSurge = null;
    expect(faultsOfManifest(deployment)).toEqual([
      expect.stringMatching(/^spec\.strategy\.rollingUpdate\.maxSurge: /),
      expect.stringMatching(/^spec\.template\.spec\.containers\.0\.readinessProbe\.periodSeconds: /),
    ]);
    expect(faultsOfManifest({ kind: 'Deploymint' })).toEqual(['kind: Deploymint is not known']);
    expect(faultsOfManifest({ kind: 'constructor' })).toEqual(['kind: constructor is not known']);
  });
});

describe('kubernetes/production', () => {
  const own = (name: string) => parseDocument(read(`kubernetes/production/${name}`)).toJS();
  const names = files
    .filter((name) => /^kubernetes\/production\/.*\.yaml$/.test(name))
    .map((name) => name.slice('kubernetes/production/'.length));
  const manifests = names.filter((name) => name !== 'gateway.yaml');

  it('takes in the base and each of its files, and ports that its config has', () => {
    const { resources, patches, configMapGenerator, generatorOptions } = own('kustomization.yaml');
    const paths = patches.flatMap(({ path }: { path?: string }) => path ?? []);
    expect(['../base', ...manifests.filter((name) => name !== 'kustomization.yaml')].sort()).toEqual(
      [...resources, ...paths].sort(),
    );
    expect([configMapGenerator[0].files, generatorOptions]).toEqual([
      ['gateway.yaml'],
      { disableNameSuffixHash: true },
    ]);
    const { listeners, admin } = own('gateway.yaml');
    const { containers, volumes } = own('tls.yaml').spec.template.spec;
    expect(containers[0].ports).toEqual([{ name: 'https', containerPort: listeners[1].port }]);
    expect(listeners[1].tls.certificates[0].cert).toBe(`${containers[0].volumeMounts[0].mountPath}/tls.crt`);
    expect(volumes[0].name).toBe(containers[0].volumeMounts[0].name);
    expect(own('metrics-service.yaml').spec.ports[0].port).toBe(admin.port);
    const labels = own('metrics-service.yaml').metadata.labels;
    expect(labels).toMatchObject(own('servicemonitor.yaml').spec.selector.matchLabels);
  });

  it('scales by a metric that there is', () => {
    const { metrics } = own('horizontalpodautoscaler.yaml').spec;
    const { name } = metrics[0].pods.metric;
    expect(readFileSync(`${root}docs/metrics.md`, 'utf8')).toContain(`| \`${name}\` | gauge |`);
    expect(read('README.md')).toContain(name);
  });
});

describe.skipIf(!hasPeers('kubernetes-client'))('kubectl kustomize', () => {
  // The kustomize of Debian 12's kubectl is 2.0, which has no patches with a path; only newer ones say their version.
  const { stdout: version } = spawnSync('kubectl', ['version', '--client'], { encoding: 'utf8' });
  const folders = /^Kustomize Version/m.test(version) ? ['base', 'production'] : ['base'];

  it.each(folders)('makes one whole of %s', async (folder) => {
    const { code, stdout, stderr } = await run('kubectl', ['kustomize', `${deploy}kubernetes/${folder}`]);
    expect([code, stderr]).toEqual([0, '']);
    const made = (parseAllDocuments(stdout) as ReturnType<typeof parseDocument>[]).map((document) => document.toJS());
    const { spec } = made.find(({ kind }) => kind === 'Deployment');
    const ports = spec.template.spec.containers[0].ports.map(({ name }: { name: string }) => name).sort();
    expect(ports).toEqual(folder === 'base' ? ['admin', 'http'] : ['admin', 'http', 'https']);
    expect(spec.replicas).toBe(folder === 'base' ? 2 : undefined);
    const config = made.find(({ kind }) => kind === 'ConfigMap');
    expect([config.metadata.name, config.data['gateway.yaml'].includes('8443')]).toEqual(['upgate', folder !== 'base']);
  });
});

describe.skipIf(!hasPeers('systemd'))('systemd-analyze', () => {
  it('finds no fault with the units', async () => {
    // What the unit starts is not installed here.
    const here = mkdtempSync(join(tmpdir(), 'upgate-units-'));
    for (const name of ['upgate.service', 'upgate.socket'])
      writeFileSync(join(here, name), read(`systemd/${name}`).replaceAll('/usr/bin/node', process.execPath));
    const units = ['upgate.service', 'upgate.socket'].map((name) => join(here, name));
    const { stdout, stderr } = await run('systemd-analyze', ['verify', '--man=no', ...units]);
    // Other units of the machine have faults of their own.
    expect(`${stdout}${stderr}`.split('\n').filter((line) => line.includes('upgate'))).toEqual([]);
    rmSync(here, { recursive: true });
  });

  it('gives the service an exposure of 2.0 at most', async () => {
    const unit = `${deploy}systemd/upgate.service`;
    const { stdout } = await run('systemd-analyze', ['security', '--offline=true', '--threshold=20', unit]);
    const [, level] = /exposure level for upgate\.service: ([\d.]+)/.exec(stdout) ?? [];
    expect(Number(level)).toBeGreaterThan(0);
    expect(Number(level)).toBeLessThanOrEqual(2);
  });
});

it('the systemd unit stops no sooner than a drain by default', () => {
  const unit = read('systemd/upgate.service');
  expect(Number(/^TimeoutStopSec=(\d+)s$/m.exec(unit)?.[1])).toBeGreaterThan(30);
  expect(unit).not.toMatch(/^MemoryDenyWriteExecute=/m);
  // It copies at the start, and a renewed certificate would never be seen.
  expect(unit).not.toMatch(/^#?LoadCredential=/m);
});

it('the sockets of systemd are the addresses of gateway.yaml', () => {
  const unit = read('systemd/upgate.socket');
  const values = { HTTP_PORT: '80', HTTPS_PORT: '443', ADMIN_PORT: '9901' };
  const text = Object.entries(values).reduce(
    (config, [name, value]) => config.replace(`\${${name}:-${value}}`, value),
    readFileSync(`${root}gateway.yaml`, 'utf8'),
  );
  const { listeners, admin } = parseDocument(text).toJS() as Gateway;
  const sockets = [...unit.matchAll(/^ListenStream=(.+)$/gm)].map(([, at]) => at);
  expect(sockets).toEqual([...listeners.map(({ port }) => String(port)), `127.0.0.1:${admin.port}`]);
  expect(read('systemd/upgate.service')).toMatch(/^Sockets=upgate\.socket$/m);
});

describe('compose', () => {
  const start = (name: string, env: NodeJS.ProcessEnv, ...args: string[]) =>
    startChild(process.execPath, [MAIN, 'run', '-c', `${deploy}compose/${name}/gateway.yaml`, ...args], { env });
  /** Resolves when the admin listener says that all is ready. */
  const ready = (port: string) =>
    expect
      .poll(() =>
        fetch(`http://127.0.0.1:${port}/readyz`).then(
          ({ status }) => status,
          () => 0,
        ),
      )
      .toBe(200);
  const ports = async (count: number) => (await Promise.all(Array.from({ length: count }, closedPort))).map(String);

  it('its gateway serves what stands behind it', async () => {
    const [http, admin, behindHttp, behindAdmin, ws, rest] = (await ports(6)) as [
      string,
      string,
      string,
      string,
      string,
      string,
    ];
    const backend = await start(
      'backend',
      { HTTP_PORT: behindHttp, ADMIN_PORT: behindAdmin, WS_PORT: ws, REST_PORT: rest },
      '--demo',
    );
    const gateway = await start('gateway', { HTTP_PORT: http, ADMIN_PORT: admin, BACKEND: `127.0.0.1:${behindHttp}` });
    try {
      await Promise.all([ready(behindAdmin), ready(admin)]);
      expect((await fetch(`http://127.0.0.1:${http}/`)).status).toBe(200);
      const echo = await openClient(`ws://127.0.0.1:${http}/ws/echo`, { origin: 'http://localhost:8080' });
      echo.socket.send('through two gateways');
      await expect.poll(() => echo.messages.map(String).join('\n')).toContain('through two gateways');
      await echo.close();
      const hello = await openClient(`ws://127.0.0.1:${http}/hello`);
      expect(await hello.next()).toBe('hello world');
      await hello.close();
    } finally {
      await Promise.all([gateway.stop('SIGKILL'), backend.stop('SIGKILL')]);
    }
  });
});
