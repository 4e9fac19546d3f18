// What is derived from the schema is current, and what is shipped as an example is a config.
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/parse.ts';
import { formatProblem } from '../../../src/config/problem.ts';
import { formatFieldTable, listFields } from '../../../src/config/schema/fields.ts';
import {
  editorSchema,
  formatEditorSchema,
  type JsonSchema,
  schemasAt,
} from '../../../src/config/schema/json-schema.ts';

const read = (name: string) => readFileSync(new URL(`../../../${name}`, import.meta.url), 'utf8');
const fields = listFields();
const field = (path: string, mode?: string) => fields.find((each) => each.path === path && each.mode === mode);

describe('config/gateway.schema.json', () => {
  it('is current; else run `npm run generate`', () => {
    expect(read('config/gateway.schema.json')).toBe(formatEditorSchema());
  });

  it('is draft-7, has a title, and lets a variable stand for what is not just any text', () => {
    const schema = editorSchema() as JsonSchema & { $schema: string };
    expect(schema.$schema).toBe('http://json-schema.org/draft-07/schema#');
    expect(schema).not.toHaveProperty('$id');
    expect(schema.title).toBe('Upgate: gateway.yaml');
    const at = (...path: (string | number)[]) => schemasAt(schema, path).map(({ type, pattern }) => pattern ?? type);
    expect(at('admin', 'port')).toEqual(['integer', '\\$\\{']);
    expect(at('log', 'access')).toEqual(['boolean', '\\$\\{']);
    expect(at('log', 'level')).toEqual(['string', '\\$\\{']);
    expect(at('drain', 'grace')[1]).toBe('\\$\\{');
    expect(at('admin', 'host')).toEqual(['string']);
    expect(at('routes', 0, 'websocket', 'mode')).toEqual(['string', 'string']);
    expect(schema.properties?.['admin']?.properties?.['port']).toMatchObject({
      default: 9901,
      description: /TCP port/,
    });
  });
});

describe('listFields', () => {
  it('has type, default, unit and meaning of a field', () => {
    expect(field('drain.grace')).toEqual({
      path: 'drain.grace',
      type: 'duration',
      unit: 'ms, s, m, h',
      default: '30s',
      required: false,
      description: 'Time from then until the rest is cut',
    });
    expect(field('listeners[].max_head')).toMatchObject({ type: 'size', unit: 'B, KiB, MiB, GiB', default: '32KiB' });
    expect(field('upstreams.<name>.servers')).toMatchObject({ type: 'list of text, or map', required: true });
    expect(field('routes[].websocket.versions')).toMatchObject({ type: 'list of `13`, `8`', default: '[13]' });
    expect(field('routes[].websocket.origins')?.type).toBe('`same-host`, `any`, or list of text');
    expect(field('log.access')).toMatchObject({ type: '`true`, `false`', default: 'true' });
    expect(field('log')).not.toHaveProperty('default');
  });

  it('has a field of one mode with the mode, and one of both once', () => {
    expect(field('routes[].websocket.handler', 'terminate')).toBeDefined();
    expect(field('routes[].websocket.upstream', 'splice')).toBeDefined();
    expect(fields.filter(({ path }) => path === 'routes[].websocket.origins')).toHaveLength(1);
    expect(fields.filter(({ path }) => path === 'routes[].websocket.timeouts.idle')).toHaveLength(1);
    expect(fields.filter(({ path }) => path === 'routes[].websocket.limits.max_message')).toHaveLength(2);
  });

  it('names a mode only of fields that one mode of a websocket route has', () => {
    const modes = new Set(fields.flatMap(({ mode }) => (mode === undefined ? [] : [mode])));
    expect(modes).toEqual(new Set(['splice', 'terminate']));
    expect(fields.find(({ path }) => path === 'listeners[].tls.client_auth.mode')).not.toHaveProperty('mode');
  });

  it('has a doc line for every field, and each field once', () => {
    expect(fields.filter(({ description }) => description === '')).toEqual([]);
    expect(new Set(fields.map(({ path, mode }) => `${path} ${mode}`)).size).toBe(fields.length);
  });
});

describe('docs/configuration.md', () => {
  const docs = read('docs/configuration.md');

  it('has the table of every field; else run `npm run generate`', () => {
    const [, table] = /<!-- fields:start -->\n\n([\s\S]*)\n\n<!-- fields:end -->/.exec(docs) ?? [];
    expect(table).toBe(formatFieldTable(fields));
  });

  it('shows configs that are valid, and so do the pages of its parts', () => {
    const shown = [
      ...`${docs}${read('docs/upstreams.md')}${read('docs/limits.md')}`.matchAll(/```yaml\n([\s\S]*?)```/g),
    ].map(([, text]) => text ?? '');
    expect(shown).not.toEqual([]);
    for (const text of shown) expect(problemsOf(text)).toEqual([]);
  });
});

const problemsOf = (text: string, env = {}) => parseConfig(text, { file: 'f', env }).problems.map(formatProblem);

describe('examples', () => {
  const names = readdirSync(new URL('../../../config/', import.meta.url)).filter((name) => name.endsWith('.yaml'));

  it.each(names)('config/%s has no problem, and tells editors of the schema', (name) => {
    const text = read(`config/${name}`);
    expect(problemsOf(text)).toEqual([]);
    expect(text.split('\n')[0]).toBe('# yaml-language-server: $schema=./gateway.schema.json');
  });

  it('there is one for each idea', () => {
    expect(names.sort()).toEqual([
      'auth-basic.yaml',
      'auth-forward.yaml',
      'auth.yaml',
      'drain.yaml',
      'grafana.yaml',
      'graphql.yaml',
      'homeassistant.yaml',
      'jupyter.yaml',
      'limits.yaml',
      'mqtt.yaml',
      'mtls.yaml',
      'novnc.yaml',
      'proxy-protocol.yaml',
      'rooms.yaml',
      'socketio.yaml',
      'splice.yaml',
      'terminate.yaml',
      'tls.yaml',
      'trusted-proxies.yaml',
      'upstreams.yaml',
      'webhook.yaml',
    ]);
  });

  it('gateway.yaml has no problem, and takes its ports from the environment', () => {
    const text = read('gateway.yaml');
    expect(text.split('\n')[0]).toBe('# yaml-language-server: $schema=./config/gateway.schema.json');
    expect(problemsOf(text)).toEqual([]);
    const env = { HTTP_PORT: '1', HTTPS_PORT: '2', ADMIN_PORT: '3', WS_PORT: '4', REST_PORT: '5' };
    const { config } = parseConfig(text, { file: 'f', env });
    expect(config?.listeners.map(({ port }) => port)).toEqual([1, 2]);
    expect(config?.admin.port).toBe(3);
    expect(config?.upstreams['chat']?.servers[0]?.port).toBe(4);
    expect(config?.upstreams['rest']?.servers[0]?.port).toBe(5);
    const byDefault = parseConfig(text, { file: 'f', env: {} }).config;
    expect(byDefault?.listeners.map(({ port }) => port)).toEqual([80, 443]);
    expect(byDefault?.routes.map(({ name }) => name)).toEqual(['chat', 'echo', 'push', 'rooms', 'api']);
  });
});
