import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/parse.ts';
import { shownValues } from '../../../src/config/shown-values.ts';

const TEXT = `
listeners:
  - port: \${PORT}
admin: { token: abcdefghijklmnopqrst }
upstreams:
  app: { servers: ["ws://10.0.0.1:9001"] }
routes:
  - name: app
    match: { path: /ws }
    websocket: { mode: splice, upstream: app }
    auth: { basic: { users: { ann: "$2b$10$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu" } } }
    headers: { request: { set: { X-Api-Key: very-secret-value } } }
`;

function shown(text = TEXT) {
  const { config, partial, positions } = parseConfig(text, { file: 'f', env: { PORT: '8123' } });
  const all = [...shownValues((config ?? partial)!, positions)];
  return { all, of: (path: string) => all.find((value) => value.path === path), text: JSON.stringify(all) };
}

describe('the values in force', () => {
  it('say where they came from: the file, by line and column, or a default', () => {
    const { of } = shown();
    expect(of('routes[0].match.path[0]') ?? of('routes[0].match.path')).toMatchObject({
      value: '/ws',
      from: 'file',
      line: 9,
    });
    expect(of('admin.port')).toEqual({ path: 'admin.port', value: 9901, from: 'default', line: null, column: null });
    expect(of('upstreams.app.servers[0].port')).toMatchObject({ value: 9001, from: 'file', line: 6, column: 20 });
  });

  it('show the reference in place of what came from the environment', () => {
    expect(shown().of('listeners[0].port')).toMatchObject({ value: '${PORT}', from: 'environment', line: 3 });
    expect(shown().text).not.toContain('8123');
  });

  it('hide secrets: the token, hashes of passwords, fields with keys', () => {
    const { of, text } = shown();
    expect(of('admin.token')?.value).toBe('(secret)');
    expect(text).not.toMatch(/abcdefghijklmnopqrst|very-secret-value|\$2b/);
  });

  it('hide the userinfo and the query of URLs', () => {
    const { text } = shown(TEXT.replace('/ws }', '/ws }\n    redirect: { to: "https://u:pw@x.example/a?token=t0k" }'));
    expect(text).not.toMatch(/u:pw|t0k/);
  });
});
