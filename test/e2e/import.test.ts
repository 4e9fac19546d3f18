// `upgate import` of the built program: what other proxies' files become, that `check` takes it, and that it does the same.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { run } from '../support/child.ts';
import { MAIN, writeConfig } from '../support/gateway.ts';

const upgate = (...args: readonly string[]) => run(process.execPath, [MAIN, ...args]);

interface Route {
  readonly name: string;
  readonly match: object;
  readonly websocket?: { readonly upstream: string };
  readonly [key: string]: unknown;
}

interface Made {
  readonly listeners: readonly object[];
  readonly upstreams: Readonly<Record<string, { readonly servers: readonly unknown[] }>>;
  readonly routes: readonly Route[];
}

/** Of "wonderland". */
const HASH = '$scrypt$ln=15,r=8,p=1$updzjaq0OL62XSZ7/d4HGA$qjo52059NnKdiy7B88gwvdWcri9UHeXbj4aZ8jEtQng';

/** A file with its certificates and users made, imported, and what `check` says of the result. */
async function imported(kind: string, name: string) {
  const fixture = readFileSync(fileURLToPath(new URL(`../fixtures/import/${name}`, import.meta.url)), 'utf8');
  const folder = dirname(writeConfig('x'));
  const [cert, key, source, file] = ['c.pem', 'k.pem', name, 'gateway.yaml'].map((each) => join(folder, each)) as [
    string,
    string,
    string,
    string,
  ];
  const made = await run('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30'],
    ...['-subj', '/CN=app.example.com', '-keyout', key, '-out', cert],
  ]);
  expect(made.code).toBe(0);
  const users = join(folder, 'users');
  writeFileSync(users, `ada:${HASH}\n`);
  writeFileSync(source, fixture.replaceAll('CERT', cert).replaceAll('KEY', key).replaceAll('USERS', users));
  const { code, stdout, stderr } = await upgate('import', kind, source);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  writeFileSync(file, stdout);
  const checked = await upgate('check', '-c', file);
  expect([checked.code, checked.stderr.match(/error: .*/g) ?? [], stdout]).toEqual([0, [], stdout]);
  const explain = async (url: string, ...more: readonly string[]) =>
    (await upgate('explain', url, '-c', file, ...more)).stdout;
  return { text: stdout, config: parse(stdout) as Made, explain, cert, key, users };
}

const routeOf = ({ routes }: Made, name: string) => routes.find((route) => route.name === name);

describe('nginx', () => {
  it('the usual chat: balancing, TLS, timeouts, a redirect to https', async () => {
    const { text, config, explain, cert, key } = await imported('nginx', 'nginx-chat.conf');
    expect(config.listeners).toEqual([{ port: 80 }, { port: 443, tls: { certificates: [{ cert, key }] } }]);
    expect(config.upstreams).toEqual({
      chat: {
        servers: [
          { url: 'http://10.0.0.11:9001', weight: 2 },
          'http://10.0.0.12:9001',
          { url: 'http://10.0.0.13:9001', backup: true },
        ],
        balance: 'least_connections',
      },
      '127.0.0.1-3000': { servers: ['http://127.0.0.1:3000'] },
    });
    expect(config.routes).toEqual([
      {
        name: 'app.example.com-ws',
        match: { host: 'app.example.com', path: '/ws/*', scheme: 'https' },
        websocket: {
          ...{ mode: 'splice', upstream: 'chat', origins: 'any' },
          timeouts: { connect: '5s', idle: '3600s' },
        },
        http: { upstream: 'chat', max_body: '20MiB', timeouts: { connect: '5s', head: '3600s', idle: '3600s' } },
      },
      {
        name: 'app.example.com-all',
        match: { host: 'app.example.com', path: '/*', scheme: 'http' },
        redirect: { status: 301, scheme: 'https' },
      },
      {
        name: 'app.example.com-all-2',
        match: { host: 'app.example.com', path: '/*', scheme: 'https' },
        http: { upstream: '127.0.0.1-3000', max_body: '20MiB' },
      },
    ]);
    expect(text).toContain('  # nginx asks for no Origin; list the pages that may connect in place of `any`\n');
    expect(text).toContain('# server 10.0.0.14:9001 is marked down and left out\n');
    expect(await explain('wss://app.example.com/ws/room')).toContain('app.example.com-ws');
    expect(await explain('http://app.example.com/x')).toMatch(/301/);
  });

  it('Socket.IO over unix sockets, and what is no proxying named where it stood', async () => {
    const { text, config, explain } = await imported('nginx', 'nginx-socketio.conf');
    expect(config.listeners).toEqual([{ host: '127.0.0.1', port: 8081 }]);
    expect(config.upstreams).toEqual({
      io_nodes: { servers: ['unix:/run/io-1.sock', 'unix:/run/io-2.sock'], balance: 'hash' },
    });
    expect(routeOf(config, 'socket.io')).toMatchObject({
      ...{ match: { path: '/socket.io/*' }, websocket: { upstream: 'io_nodes' }, http: { upstream: 'io_nodes' } },
    });
    expect(routeOf(config, 'healthz')).toMatchObject({
      ...{ match: { path: '/healthz' }, respond: { status: 200, body: 'ok\n' } },
    });
    expect(text).toContain('# line 10: root /var/www/html is not carried\n');
    expect(text).toMatch(/# line 19: location ~\* \S+ is no exact path and no prefix/);
    expect(await explain('ws://any.example:8081/socket.io/?EIO=4')).toContain('io_nodes');
  });

  it('prefixes, addresses, fields, TLS to servers, and what cannot be carried', async () => {
    const { text, config, users } = await imported('nginx', 'nginx-prefix.conf');
    expect(routeOf(config, 'example.com-api')).toEqual({
      name: 'example.com-api',
      match: { host: ['example.com', '*.example.com'], path: '/api/*', scheme: 'http' },
      allow: ['10.0.0.0/8'],
      http: { upstream: 'backend.internal-8443' },
      rewrite: { prefix: '/v1', host: 'backend.internal' },
      headers: {
        request: { set: { 'X-Api-Key': 'a{{b}}c' } },
        response: { set: { 'X-Frame-Options': 'DENY' } },
      },
    });
    expect(config.upstreams['backend.internal-8443']).toEqual({
      servers: ['https://backend.internal:8443'],
      tls: { verify: false },
    });
    expect(routeOf(config, 'example.com-live')).toMatchObject({
      ...{ match: { path: ['/live', '/live/*'] }, rewrite: { prefix: '/', host: 'upstream' } },
    });
    expect(routeOf(config, 'example.com-live')).toMatchObject({
      auth: { basic: { realm: 'Members', users_file: users } },
    });
    expect(routeOf(config, 'example.com-old')).toMatchObject({ redirect: { status: 302, path: '/new' } });
    for (const remark of [
      'server_name ~^www\\d+\\.example\\.net$ is not carried',
      'proxy_pass http://$backend is not carried',
      "nginx's location /live takes paths such as /livex as well",
    ])
      expect(text).toContain(remark);
  });

  it('an app behind a balancer: what stands behind a guard that is not carried is shut', async () => {
    const { text, config, explain, users } = await imported('nginx', 'nginx-app.conf');
    expect(parse(text)).toMatchObject({ trusted_proxies: ['10.0.0.0/8'] });
    const at = async (path: string) => (await explain(`https://git.example.com${path}`)).split('\n').at(-2);
    expect(await at('/projects/1')).toMatch(/^-> forwarded to upstream app /);
    expect(text).toContain('the gateway serves no files: everything goes to @app');
    expect(await at('/admin/users')).toBe('-> 403, answered by the gateway itself');
    expect(await at('/verify')).toBe('-> 403, answered by the gateway itself');
    expect(text).toContain('auth_request /verify is not carried: it is shut until you say who may come');
    expect(routeOf(config, 'git.example.com-staff')).toMatchObject({
      ...{ auth: { basic: { realm: 'Staff', users_file: users } }, http: { upstream: 'app' } },
    });
  });

  it('guards of a location whose try_files leads to another one hold there', async () => {
    const { text, config, explain, users } = await imported('nginx', 'nginx-guards.conf');
    expect(routeOf(config, 'a.example.com-staff')).toMatchObject({
      auth: { basic: { realm: 'Staff', users_file: users } },
    });
    expect(routeOf(config, 'b.example.com-two')).toMatchObject({
      auth: { basic: { realm: 'All', users_file: users } },
    });
    const at = async (url: string) => (await explain(url, '--from', '192.0.2.1')).split('\n').at(-2);
    expect(await at('http://a.example.com/inner')).toBe('-> 403, answered by the gateway itself');
    expect(await at('http://a.example.com/net')).toMatch(/^-> 403 address/);
    // Both ask who a client is, which one route can't say.
    expect(await at('http://b.example.com/')).toBe('-> 501, answered by the gateway itself');
    expect(text).toContain('try_files $uri @open is not carried');
  });

  it('Home Assistant: TLS, a redirect to https, what is not done here', async () => {
    const { text, config } = await imported('nginx', 'nginx-homeassistant.conf');
    expect(config.routes).toEqual([
      {
        name: 'ha.example.com-all',
        match: { host: 'ha.example.com', path: '/*', scheme: 'http' },
        redirect: { status: 301, scheme: 'https' },
      },
      {
        name: 'ha.example.com-all-2',
        match: { host: 'ha.example.com', path: '/*', scheme: 'https' },
        websocket: { mode: 'splice', upstream: '127.0.0.1-8123', origins: 'any' },
        http: { upstream: '127.0.0.1-8123' },
        headers: { response: { set: { 'Strict-Transport-Security': 'max-age=31536000; includeSubdomains' } } },
      },
    ]);
    const remarks = [...text.matchAll(/# line \d+: (.*) is not carried$/gm)].map(([, what]) => what);
    expect(remarks).toEqual(['gzip on', 'proxy_redirect http:// https://']);
  });
});

describe('caddy', () => {
  it('a site with two names: certificates by itself, health checks, https for all', async () => {
    const { text, config, explain } = await imported('caddy', 'Caddyfile.simple');
    const hosts = ['app.example.com', 'www.example.com'];
    const acme = { domains: hosts, email: 'admin@example.com', storage: '/var/lib/upgate/acme', terms_agreed: true };
    expect(config.listeners).toEqual([{ port: 443, tls: { acme } }, { port: 80 }]);
    expect(text).toContain(
      "  # Caddy agrees to the authority's terms by itself; here terms_agreed says that you do: https:",
    );
    expect(text).not.toContain('# email');
    expect(config.routes.map(({ name, match }) => [name, match])).toEqual([
      ['to-https', { host: hosts, scheme: 'http' }],
      ['app.example.com-ws', { host: hosts, path: '/ws/*', scheme: 'https' }],
      ['app.example.com-all', { host: hosts, path: '/*', scheme: 'https' }],
    ]);
    expect(Object.values(config.upstreams)).toEqual([
      {
        servers: ['http://10.0.0.11:9001', 'http://10.0.0.12:9001'],
        balance: 'least_connections',
        health: { active: { type: 'http', path: '/health', every: '10s' } },
      },
      { servers: ['http://localhost:3000'] },
    ]);
    expect(await explain('wss://www.example.com/ws/x')).toContain('app.example.com-ws');
    expect(await explain('https://www.example.com/')).toContain('app.example.com-all');
  });

  it('certificates of public names by ACME, of others by what there is', async () => {
    const { text, config, cert, key } = await imported('caddy', 'Caddyfile.certificates');
    const acme = {
      ...{ email: 'ops@example.com', directory: 'https://ca.internal/acme/acme/directory' },
      ...{ storage: '/var/lib/upgate/acme', terms_agreed: true },
    };
    expect(config.listeners).toEqual([
      {
        port: 443,
        tls: { certificates: [{ cert, key }], acme: { domains: ['app.example.com', 'files.example.com'], ...acme } },
      },
      { port: 80 },
      { port: 8443, tls: { self_signed: ['private.example.com'] } },
      { port: 9443, tls: { acme: { domains: ['app.example.com'], ...acme } } },
    ]);
    expect(text).toContain('# line 2: of the global options are not carried: admin\n');
    expect(text).toContain('they have no certificate here: grafana.localhost, *.example.org\n');
    expect(text).toContain('these are for trying out: name yours in tls.certificates\n');
  });

  it('a site without an address for the authority says so; local_certs asks none', async () => {
    const make = async (text: string) => (await upgate('import', 'caddy', writeConfig(text))).stdout;
    const site = 'app.example.com {\n respond ok\n}\n';
    expect(await make(site)).toContain('  # email: where the authority may write to\n');
    const local = parse(await make(`{\n local_certs\n}\n${site}`)) as Made;
    expect(local.listeners[0]).toEqual({ port: 443, tls: { self_signed: ['app.example.com'] } });
  });

  it('a matcher of handshakes, handle_path, TLS to servers, respond', async () => {
    const { text, config } = await imported('caddy', 'Caddyfile.matcher');
    expect(config.listeners).toEqual([{ port: 8083 }]);
    expect(config.routes).toEqual([
      { name: 'healthz', match: { path: '/healthz', scheme: 'http' }, respond: { status: 200, body: 'ok' } },
      {
        name: 'socket',
        match: { path: ['/socket', '/socket/*'], scheme: 'http' },
        websocket: { mode: 'splice', upstream: '127.0.0.1-6001', origins: 'any' },
      },
      {
        name: 'api',
        match: { path: '/api/*', scheme: 'http' },
        websocket: { mode: 'splice', upstream: 'api.internal-443', origins: 'any' },
        http: { upstream: 'api.internal-443' },
        rewrite: { prefix: '/', host: 'upstream' },
        headers: { request: { set: { 'X-Api': 'v1' } }, response: { remove: ['Server'] } },
      },
    ]);
    expect(config.upstreams['api.internal-443']).toEqual({
      servers: ['https://api.internal:443'],
      tls: { server_name: 'api.internal' },
    });
    expect(text).toContain('file_server is not carried');
    expect(text).toContain("Caddy's /socket* takes paths such as /socketx as well");
  });

  it('handshakes and other requests to other servers, paths that are shut, compression', async () => {
    const { text, config, explain } = await imported('caddy', 'Caddyfile.sticky');
    expect(config.routes).toEqual([
      { name: 'admin', match: { path: '/admin/*', scheme: 'http' }, respond: { status: 403 } },
      { name: 'old', match: { path: '/old/*', scheme: 'http' }, respond: { status: 410, body: 'Gone' } },
      {
        name: 'ws',
        match: { path: '/*', scheme: 'http' },
        websocket: { mode: 'splice', upstream: 'node1-3000', origins: 'any' },
      },
      { name: 'all', match: { path: '/*', scheme: 'http' }, http: { upstream: 'node1-3000-2' } },
    ]);
    expect(config.upstreams).toMatchObject({
      'node1-3000': { sticky: { cookie: 'io' } },
      'node1-3000-2': { balance: 'hash', health: { active: { type: 'http', path: '/healthz' } } },
    });
    expect(text).toMatch(/^# line \d+: encode gzip is not carried$/m);
    expect(text).toContain('# Caddy closes the connection; a request gets an answer here');
    expect(await explain('ws://io.example.com:8083/admin/x')).toContain('-> 403');
    expect(await explain('ws://io.example.com:8083/socket.io/')).toContain('splice to upstream node1-3000');
  });

  it('guards: passwords are carried, and what stands behind another one is shut', async () => {
    const { text, config, explain } = await imported('caddy', 'Caddyfile.guards');
    const at = async (url: string) => (await explain(url)).split('\n').at(-2);
    expect(await at('wss://chat.example.org/socket/1')).toContain('splice to upstream chat1-4000');
    for (const url of [
      'https://chat.example.org/api/1',
      'https://chat.example.org/team/1',
      'http://internal.example.org:8080/',
    ])
      expect(await at(url), url).toBe('-> 403, answered by the gateway itself');
    expect(routeOf(config, 'chat.example.org-metrics')).toMatchObject({
      auth: { basic: { users: { ops: expect.stringMatching(/^\$2a\$14\$/) } } },
    });
    // What is for some addresses only is reached by nobody, and the rest goes where it went.
    expect(await at('https://chat.example.org/')).toMatch(/^-> forwarded to upstream web-3000 /);
    expect(text).toContain('remote_ip 198.51.100.0/24 is not carried');
  });

  it('snippets, named certificates, a cookie, a redirect', async () => {
    const { text, config, cert, key } = await imported('caddy', 'Caddyfile.snippets');
    expect(config.listeners).toEqual([{ port: 443, tls: { certificates: [{ cert, key }] } }, { port: 80 }]);
    expect(config.routes).toEqual([
      {
        ...{ name: 'to-https', match: { host: ['old.example.com', '*.example.com'], scheme: 'http' } },
        redirect: { scheme: 'https', status: 308 },
      },
      {
        name: 'old.example.com-all',
        match: { host: 'old.example.com', path: '/*', scheme: 'https' },
        redirect: { status: 301, scheme: 'https', host: 'new.example.com' },
      },
      {
        name: 'example.com-rooms',
        match: { host: '*.example.com', path: '/rooms/*', scheme: 'https' },
        websocket: { mode: 'splice', upstream: 'run-rooms.sock', origins: 'any' },
        http: { upstream: 'run-rooms.sock' },
        headers: { response: { set: { 'X-Content-Type-Options': 'nosniff' } } },
      },
      {
        name: 'example.com-admin',
        match: { host: '*.example.com', path: '/admin/*', scheme: 'https' },
        respond: { status: 403, body: 'not carried over' },
      },
    ]);
    expect(config.upstreams).toEqual({
      'run-rooms.sock': { servers: ['unix:/run/rooms.sock'], sticky: { cookie: 'room' } },
    });
    expect(text).toContain('basic_auth /admin/* is not carried');
  });
});

describe('a file that can not be imported', () => {
  it.each([
    ['nginx', 'server { listen 80', /the block|does not end/],
    ['nginx', '} server', /a "}" too many/],
    ['nginx', '; x', /nothing stands before/],
    ['nginx', 'a {'.repeat(100), /nested too deep/],
    ['caddy', 'app {\n x', /does not end/],
    ['caddy', '(a) {\n import a\n import a\n}\nx.y {\n import a\n}', /snippets import too much/],
  ])('%s: %j says where', async (kind, text, why) => {
    const file = writeConfig(text);
    const { code, stdout, stderr } = await upgate('import', kind, file);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(why);
    expect(stderr.startsWith(`${file}: `)).toBe(true);
  });

  it('has to be named, with its kind', async () => {
    expect((await upgate('import', 'nginx')).code).toBe(2);
    expect((await upgate('import', 'apache', 'x')).stderr).toMatch(/is not one of nginx, caddy/);
    expect((await upgate('import', 'caddy', '/nowhere/Caddyfile')).stderr).toMatch(/ENOENT|no such file/);
  });

  it('of blanks and braces without end is read in linear time', async () => {
    const file = writeConfig(`${'\\'.repeat(200_000)}${'"'.repeat(3)}${' '.repeat(200_000)}`);
    for (const kind of ['nginx', 'caddy']) expect((await upgate('import', kind, file)).code).toBeLessThan(2);
  });
});
