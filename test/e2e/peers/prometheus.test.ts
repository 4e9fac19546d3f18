// A real Prometheus scrapes the built gateway and shows its series; promtool judges /metrics, and the rules and the
// scrape config that are shipped.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LineChild, run, startChild } from '../../support/child.ts';
import { openClient, openRefused } from '../../support/client.ts';
import { type Gateway, startGateway } from '../../support/gateway.ts';
import { hasPeers } from '../../support/peers.ts';

const shipped = (name: string) => fileURLToPath(new URL(`../../../deploy/prometheus/${name}`, import.meta.url));

interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

describe.skipIf(!hasPeers('prometheus', 'promtool'))('prometheus', () => {
  const directory = mkdtempSync(join(tmpdir(), 'upgate-prometheus-'));
  let gateway: Gateway;
  let prometheus: LineChild;
  let api: string;

  beforeAll(async () => {
    gateway = await startGateway({
      listeners: [{ host: '127.0.0.1', port: 0, tls: { self_signed: ['localhost'] } }],
      upstreams: { rest: { servers: ['http://127.0.0.1:1'] } },
      routes: [
        { name: 'echo', match: { path: '/echo' }, websocket: { mode: 'terminate', handler: 'echo' } },
        { name: 'api', match: { path: '/api/*' }, http: { upstream: 'rest' } },
      ],
    });
    const config = join(directory, 'prometheus.yml');
    writeFileSync(
      config,
      JSON.stringify({
        global: { scrape_interval: '1s' },
        rule_files: [shipped('alerts.yml')],
        scrape_configs: [{ job_name: 'upgate', static_configs: [{ targets: [`127.0.0.1:${gateway.adminPort}`] }] }],
      }),
    );
    const flags = [
      `--config.file=${config}`,
      `--storage.tsdb.path=${directory}/data`,
      '--web.listen-address=127.0.0.1:0',
    ];
    prometheus = await startChild('prometheus', flags, { lines: 'stderr' });
    const address = await prometheus.line((line) => /msg="Listening on" address=(\S+)/.exec(line)?.[1], 'its address');
    api = `http://${address}/api/v1`;
  });

  afterAll(async () => {
    await Promise.all([prometheus?.stop(), gateway?.stop('SIGKILL')]);
    rmSync(directory, { recursive: true, force: true });
  });

  const query = async (expression: string): Promise<readonly Series[]> => {
    const response = await fetch(`${api}/query?query=${encodeURIComponent(expression)}`);
    if (!response.ok) return [];
    const { data } = (await response.json()) as { data: { result: Series[] } };
    return data.result;
  };
  const value = async (expression: string) => (await query(expression)).map(({ value }) => Number(value[1]));

  it('shows live sessions, refusals, failures and what is about the process', { timeout: 60_000 }, async () => {
    const url = `wss://127.0.0.1:${gateway.port}/echo`;
    const options = { rejectUnauthorized: false };
    const client = await openClient(url, options);
    client.socket.send('x');
    expect(await client.next()).toBe('x');
    await openRefused(url, { ...options, origin: 'https://evil.example.com' });
    const failed = await fetch(`http://127.0.0.1:${gateway.adminPort}/nothing`);
    expect(failed.status).toBe(404);
    const within = { interval: 200 };
    await expect.poll(() => value('up{job="upgate"}'), within).toEqual([1]);
    await expect.poll(() => value('gateway_websocket_connections{route="echo",mode="terminate"}'), within).toEqual([1]);
    const rejections = 'gateway_websocket_rejections_total{route="echo",reason="origin"}';
    await expect.poll(() => value(rejections), within).toEqual([1]);
    const names = (await query('group by (__name__) ({job="upgate"})')).map(({ metric }) => metric['__name__']);
    expect(names).toEqual(
      expect.arrayContaining([
        'gateway_websocket_handshakes_total',
        'gateway_websocket_handshake_duration_seconds_bucket',
        'gateway_tls_certificate_not_after_timestamp_seconds',
        'gateway_config_last_reload_successful',
        'gateway_draining',
        'gateway_build_info',
        'process_cpu_seconds_total',
      ]),
    );
    await client.close();
    await expect.poll(() => value('gateway_websocket_connections{route="echo",mode="terminate"}'), within).toEqual([0]);
    const closes = 'gateway_websocket_closes_total{route="echo",code="1000",initiator="client"}';
    await expect.poll(() => value(closes), within).toEqual([1]);
  });

  it('loads the shipped rules', async () => {
    const response = await fetch(`${api}/rules`);
    const { data } = (await response.json()) as { data: { groups: { rules: { name: string; health: string }[] }[] } };
    const rules = data.groups.flatMap((group) => group.rules);
    expect(rules.length).toBeGreaterThan(5);
    expect(rules.filter((rule) => rule.health === 'err')).toEqual([]);
  });

  it('promtool finds no fault with our metrics', async () => {
    const { text } = await gateway.admin('/metrics');
    const { code, stdout, stderr } = await run('promtool', ['check', 'metrics'], text);
    // 3 is "there are remarks": prom-client's own process metrics draw some, ours none.
    expect([0, 3]).toContain(code);
    expect(
      `${stdout}${stderr}`.split('\n').filter((line) => line.startsWith('gateway_') || /^error/i.test(line)),
    ).toEqual([]);
  });

  it('promtool finds no fault with the shipped files', async () => {
    const rules = await run('promtool', ['check', 'rules', '--lint=all', '--lint-fatal', shipped('alerts.yml')]);
    expect([rules.code, rules.stderr]).toEqual([0, '']);
    const config = await run('promtool', ['check', 'config', '--lint=all', shipped('prometheus.yml')]);
    expect([config.code, config.stderr]).toEqual([0, '']);
    const fired = await run('promtool', ['test', 'rules', shipped('alerts.test.yml')]);
    expect([fired.code, fired.stderr]).toEqual([0, '']);
  });

  it('every metric that an alert reads is one that the gateway has', async () => {
    const { text } = await gateway.admin('/metrics');
    const known = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name));
    const read = [...readFileSync(shipped('alerts.yml'), 'utf8').matchAll(/\b(?:gateway|nodejs|process)_[a-z0-9_]+/g)];
    const names = [...new Set(read.map(([name]) => name.replace(/_(bucket|count|sum)$/, '')))];
    expect(names.length).toBeGreaterThan(5);
    expect(names.filter((name) => !known.has(name))).toEqual([]);
  });
});
