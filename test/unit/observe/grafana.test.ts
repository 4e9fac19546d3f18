// The shipped dashboard and alerts, against what the gateway gives: every query reads metrics and labels that there are, is
// PromQL, and every alert leads to a page that says what to do.
import { readFileSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { METRICS } from '../../../src/observe/catalog.ts';
import { run } from '../../support/child.ts';
import { writeConfig } from '../../support/gateway.ts';
import { hasPeers } from '../../support/peers.ts';

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../../${path}`, import.meta.url)), 'utf8');

interface Panel {
  readonly title: string;
  readonly type: string;
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

const dashboard = JSON.parse(read('deploy/grafana/upgate.json')) as {
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] };
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
};
const targets = dashboard.panels.flatMap(({ title, targets = [] }) => targets.map((target) => ({ title, ...target })));
const variables = dashboard.templating.list.map(({ name }) => name);

/** What prom-client and Prometheus bring: of the process, and of the scrape. */
const PROCESS =
  /^(?:process_(?:cpu_seconds_total|resident_memory_bytes|open_fds|max_fds)|nodejs_(?:heap_size_used_bytes|eventloop_lag_p99_seconds))$/;
const OF_SCRAPE = ['job', 'instance'];

/** The metrics of a query, each with the labels that are asked of it and its suffix. */
function seriesIn(expr: string) {
  return [...expr.matchAll(/\b((?:gateway|process|nodejs)_[a-z0-9_]+)(?:\{([^}]*)\})?/g)].map(
    ([, name = '', inner = '']) => ({
      name,
      labels: [...inner.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, label]) => label ?? ''),
    }),
  );
}

/** What is wrong with what a query reads; none: nothing. */
function faultsOf(expr: string): string[] {
  const series = seriesIn(expr);
  const faults = series.length === 0 ? [`${expr} reads nothing`] : [];
  const known = new Set<string>(['le', ...OF_SCRAPE]);
  for (const { name, labels } of series) {
    if (PROCESS.test(name)) continue;
    const [, base = '', suffix] = /^gateway_(.*?)(_bucket|_sum|_count)?$/.exec(name) ?? [];
    const metric = METRICS[base as keyof typeof METRICS] as { type: string; labels: readonly string[] } | undefined;
    if (metric === undefined || (suffix !== undefined) !== (metric.type === 'histogram'))
      faults.push(`${name} is no series`);
    for (const label of metric?.labels ?? []) known.add(label);
    const has = new Set([...OF_SCRAPE, ...(metric?.labels ?? [])]);
    faults.push(...labels.filter((label) => !has.has(label)).map((label) => `${name} has no label ${label}`));
  }
  const grouped = [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(/,\s*/));
  return [...faults, ...grouped.filter((label) => !known.has(label)).map((label) => `there is no label ${label}`)];
}

describe('a query', () => {
  it.each([
    ['gateway_nothing_total', 'is no series'],
    ['gateway_websocket_connections_bucket', 'is no series'],
    ['gateway_http_request_duration_seconds', 'is no series'],
    ['gateway_draining{route="x"}', 'has no label route'],
    ['sum by (rote) (gateway_websocket_connections)', 'there is no label rote'],
    ['vector(1)', 'reads nothing'],
  ])('%s is caught', (expr, fault) => {
    expect(faultsOf(expr).join()).toContain(fault);
  });

  it.each(targets.map(({ title, expr }) => [title, expr]))('of %s reads what there is: %s', (_, expr) => {
    expect(faultsOf(expr)).toEqual([]);
  });

  it('of the variables and annotations does too', () => {
    const asked = dashboard.templating.list.flatMap(({ definition }) => (definition === undefined ? [] : [definition]));
    expect(asked.length).toBe(3);
    for (const expr of [...asked, ...dashboard.annotations.list.map(({ expr }) => expr)])
      expect(faultsOf(expr)).toEqual([]);
  });

  it('names in its legend what it is grouped by', () => {
    for (const { expr, legendFormat } of targets) {
      const grouped = /\bby \(([^)]*)\)/.exec(expr)?.[1]?.split(/,\s*/) ?? ['instance'];
      for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) expect(grouped).toContain(label);
    }
  });

  it.skipIf(!hasPeers('promtool'))('is PromQL, as promtool reads it', async () => {
    const filled = targets.map(({ expr }) => expr.replaceAll('$__rate_interval', '5m').replace(/\$\w+/g, '.*'));
    const rules = filled.map((expr, i) => ({ record: `panel:${i}`, expr }));
    const file = writeConfig(JSON.stringify({ groups: [{ name: 'panels', rules }] }));
    const { code, stderr } = await run('promtool', ['check', 'rules', file]);
    rmSync(dirname(file), { recursive: true });
    expect([code, stderr]).toEqual([0, '']);
  });
});

it('the dashboard has every part, no panel over another, and only variables that there are', () => {
  const rows = dashboard.panels.filter(({ type }) => type === 'row').map(({ title }) => title);
  expect(rows).toEqual(['Overview', 'Handshakes', 'Sessions', 'Plain HTTP', 'Servers', 'Process']);
  const taken = new Set<string>();
  for (const { gridPos } of dashboard.panels as readonly (Panel & {
    gridPos: { x: number; y: number; w: number; h: number };
  })[]) {
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        expect(taken.has(`${x} ${y}`)).toBe(false);
        taken.add(`${x} ${y}`);
      }
    }
  }
  const used = [...JSON.stringify(dashboard).matchAll(/\$\{?(\w+)\}?/g)].map(([, name = '']) => name);
  expect(used.filter((name) => !variables.includes(name) && !name.startsWith('__'))).toEqual([]);
});

it('every alert leads to its runbook', () => {
  const { groups } = parse(read('deploy/prometheus/alerts.yml')) as {
    groups: { rules: { alert: string; annotations: { runbook?: string } }[] }[];
  };
  const headings = [...read('docs/runbooks.md').matchAll(/^## (\w+)$/gm)].map(([, name]) => name);
  const rules = groups.flatMap((group) => group.rules);
  expect(rules.map(({ alert }) => alert)).toEqual(headings);
  for (const { alert, annotations } of rules)
    expect(annotations.runbook).toBe(`docs/runbooks.md#${alert.toLowerCase()}`);
});
