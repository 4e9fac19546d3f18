// From route rules to candidates: problems at their place, shadowed routes, and looking up by host.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readRequest } from '../../../src/http/head.ts';
import { covers, type Route } from '../../../src/routing/route.ts';
import { compileTable } from '../../../src/routing/table.ts';
import { matchable, matchConfig, numRuns } from '../../support/arbitraries.ts';
import {
  type Change,
  configOf,
  handshakeHead,
  http,
  plainHead,
  requestOf,
  splice,
  tableOf,
} from '../../support/heads.ts';

const problemsOf = (...routes: object[]) => compileTable(configOf(routes)).problems;

describe('problems', () => {
  it('stand at their place, all of them', () => {
    const problems = problemsOf(
      {
        name: 'a',
        match: { host: 'a:80', path: 'x' },
        ...splice({ origins: ['https://ok.example', 'any', '*'] }),
      },
      { name: 'b', match: { path: '/{x' }, ...http },
      { name: 'c', match: { host: '*.*' }, ...http },
    );
    expect(problems.map(({ severity, path }) => [severity, path.join('.')])).toEqual([
      ['error', 'routes.0.match.host'],
      ['error', 'routes.0.match.path'],
      ['error', 'routes.0.websocket.origins.1'],
      ['error', 'routes.0.websocket.origins.2'],
      ['error', 'routes.1.match.path'],
      ['error', 'routes.2.match.host'],
    ]);
    expect(problems[2]).toMatchObject({
      message: '"any" is no origin',
      hint: 'write origins: any',
    });
  });
  it('leave their route out of the table, and the others in it', () => {
    const { table } = compileTable(
      configOf([
        { name: 'bad', match: { path: 'x' }, ...http },
        { name: 'bad-too', match: { path: '/*' }, ...splice({ origins: ['*'] }), ...http },
        { name: 'good', match: { path: '/*' }, ...http },
      ]),
    );
    expect(table.http.find(requestOf(plainHead()))?.route.name).toBe('good');
    expect(table.websocket.find(requestOf(handshakeHead()))).toBeNull();
  });
});

describe('origins that are exact text', () => {
  const of = (...origins: string[]) =>
    problemsOf({ name: 'a', ...splice({ origins }) }).map(({ severity, message }) => `${severity}: ${message}`);
  it('may be listed', () => expect(of('file://', 'app://x/y', 'null')).toEqual([]));
  it('are shown what an origin is where they can be none', () => {
    expect(problemsOf({ name: 'a', ...splice({ origins: ['https://a.example, https://b.example'] }) })).toMatchObject([
      {
        severity: 'error',
        message: '"https://a.example, https://b.example" is no origin',
        hint: expect.stringContaining('an origin is https://app.example.com'),
      },
    ]);
  });
  it('are most likely a mistake where they look like one of the web', () => {
    expect(of('https://a.example/', 'b.example')).toEqual([
      'warning: "https://a.example/" is compared as exact text, and no browser sends that',
      'warning: "b.example" is compared as exact text, and no browser sends that',
    ]);
  });
});

describe('lists of hosts and paths', () => {
  it('point at the entry that is wrong', () => {
    const match = { host: ['a', 'a:80'], path: ['/a', 'b', '/c//d'] };
    expect(problemsOf({ name: 'a', match, ...http }).map(({ path }) => path.join('.'))).toEqual([
      'routes.0.match.host.1',
      'routes.0.match.path.1',
      'routes.0.match.path.2',
    ]);
  });
  it('are looked up under each host, in the order of the routes', () => {
    const table = tableOf(
      { name: 'two', match: { host: ['a', 'b.c', '*.d'], path: ['/x', '/y/*'] }, ...http },
      { name: 'rest', ...http },
    );
    const nameOf = (Host: string, target: string) =>
      table.http.find(requestOf(plainHead({ target, fields: { Host } })))?.route.name;
    const seen = ['a', 'b.c', 'e.d', 'b', 'd'].map((host) => [
      nameOf(host, '/x'),
      nameOf(host, '/y/z'),
      nameOf(host, '/y'),
    ]);
    expect(seen).toEqual([...Array(3).fill(['two', 'two', 'rest']), ...Array(2).fill(Array(3).fill('rest'))]);
  });
});

describe('shadowed routes', () => {
  const route = (name: string, match: object, kinds: object) => ({ name, match, ...kinds });
  const api = route('api', { path: '/*' }, http);
  it.each([
    ['a wider path before', [api, route('late', { path: '/late' }, http)]],
    ['the same match before', [route('a', { path: '/a' }, http), route('late', { path: '/a' }, http)]],
    ['any host before a host', [api, route('late', { host: 'h', path: '/x' }, http)]],
    ['a wildcard before its host', [route('w', { host: '*.h' }, http), route('late', { host: 'a.h' }, http)]],
    ['no conditions before conditions', [api, route('late', { headers: { x: '1' } }, http)]],
    ['further routes between', [api, route('ws', { path: '/x' }, splice()), route('late', { path: '/x' }, http)]],
  ])('%s', (_, routes) => {
    expect(problemsOf(...routes)).toEqual([
      {
        severity: 'error',
        path: ['routes', routes.length - 1, 'match'],
        message: expect.stringMatching(/^route late is never reached for http: route \S+ before it takes everything$/),
        hint: 'put the narrower route first',
      },
    ]);
  });
  it.each([
    ['the narrower one first', [route('late', { path: '/late' }, http), api]],
    ['another kind', [api, route('late', { path: '/*' }, splice())]],
    ['another host', [route('a', { host: 'a' }, http), route('late', { host: 'b' }, http)]],
    ['conditions before none', [route('a', { headers: { x: '*' } }, http), route('late', {}, http)]],
    [
      'two that only together take everything',
      [
        route('a', { query: { x: '1' } }, http),
        route('b', { query: { x: '2' } }, http),
        route('late', { query: { x: '*' } }, http),
      ],
    ],
  ])('none: %s', (_, routes) => expect(problemsOf(...routes)).toEqual([]));
  it('of several hosts and paths are those of which each is covered', () => {
    const wide = route('wide', { host: ['a', '*.b'], path: ['/x', '/y/*'] }, http);
    const late = (match: object) => problemsOf(wide, route('late', match, http)).length;
    expect(late({ host: ['a', 'c.b'], path: ['/y/z', '/x'] })).toBe(1);
    expect(late({ host: ['a', 'b'], path: '/x' })).toBe(0);
    expect(late({ host: 'a', path: ['/x', '/z'] })).toBe(0);
    expect(late({ path: '/x' })).toBe(0);
  });
  it('are named by the first that covers them, wherever that stands', () => {
    const match = { host: 'a.b', path: '/{x}/y', headers: { h: '1' } };
    const covering = [
      route('any', { path: '/{x}/*' }, http),
      route('wild', { host: '*.b', path: '/{x}/y' }, http),
      route('host', { host: 'a.b', headers: { h: '*' } }, http),
      route('same', match, http),
    ];
    for (const [i, first] of covering.entries())
      for (const second of covering.filter((_, k) => k !== i)) {
        const all = problemsOf(first, second, route('late', match, http));
        expect(all.at(-1)?.message).toContain(`route ${first.name} before it`);
      }
  });
  it('are those that comparing all with all would find', () => {
    fc.assert(
      fc.property(fc.array(matchConfig, { minLength: 2, maxLength: 12 }), (matches) => {
        const config = configOf(matches.map((match, i) => ({ name: `r${i}`, match, ...http })));
        const { table, problems } = compileTable(config);
        const all: Route[] = [];
        table.http.find(
          requestOf(plainHead({ fields: { Host: 'nobody' }, target: '/none/such/path/at/all' })),
          (route) => {
            all.push(route);
          },
        );
        fc.pre(all.length === matches.length);
        const found = all.flatMap(({ name, match }, i) => {
          const by = all.slice(0, i).find((other) => covers(other.match, match));
          return by === undefined ? [] : [`route ${name} is never reached for http: route ${by.name} before it`];
        });
        expect(problems.map(({ message }) => message.replace(' takes everything', ''))).toEqual(found);
      }),
      { numRuns },
    );
  });
  it('a redirect or fixed answer takes handshakes from what comes behind it, and is none for what comes before', () => {
    const closed = route('closed', { path: '/x/*' }, { respond: { status: 410 } });
    const ws = route('ws', { path: '/x/y' }, splice());
    expect(problemsOf(closed, ws).map(({ message }) => message)).toEqual([
      'route ws is never reached for websocket: route closed before it takes everything',
    ]);
    expect(problemsOf(route('ws', { path: '/*' }, splice()), closed)).toEqual([]);
    expect(problemsOf(route('tls', { scheme: 'http' }, { redirect: { scheme: 'https' } }), ws)).toEqual([]);
  });
  it('are judged for each kind', () => {
    const both = route('both', { path: '/x' }, { ...splice(), ...http });
    expect(problemsOf(api, both).map(({ message }) => message)).toEqual([
      'route both is never reached for http: route api before it takes everything',
    ]);
  });
  it('are not judged against a route that has no pattern', () => {
    expect(problemsOf(route('bad', { path: '*' }, http), route('fine', { path: '/x' }, http))).toHaveLength(1);
    expect(problemsOf(route('fine', { path: '/x' }, http), route('bad', { path: '*' }, http))).toHaveLength(1);
  });
});

describe('candidates', () => {
  const table = tableOf(
    { name: 'exact', match: { host: 'a.example.com', path: '/x' }, ...splice() },
    { name: 'wild', match: { host: '*.example.com', path: '/x' }, ...splice() },
    { name: 'field', match: { path: '/x', headers: { 'X-Tenant': 'blue' } }, ...splice() },
    { name: 'wild-all', match: { host: '*.example.com' }, ...splice(), ...http },
    { name: 'any', match: { path: '/{room}' }, ...splice() },
    { name: 'plain', ...http },
  );
  const nameOf = (change: Change) => table.websocket.find(requestOf(handshakeHead(change)))?.route.name ?? null;
  it.each([
    ['a.example.com', '/x', 'exact'],
    ['A.example.com:8080', '/x', 'exact'],
    ['b.example.com', '/x', 'wild'],
    ['a.example.com', '/y', 'wild-all'],
    ['b.a.example.com', '/x', 'any'],
    ['example.com', '/x', 'any'],
    ['other', '/x', 'any'],
    ['other', '/x/y', null],
    ['.example.com', '/x', 'any'],
    ['__proto__', '/x', 'any'],
  ])('Host %s and %s: %s', (Host, target, name) => expect(nameOf({ target, fields: { Host } })).toBe(name));
  it('of any host are between those of the host, in the order of the file', () => {
    expect(nameOf({ target: '/x', fields: { Host: 'c.d', 'X-Tenant': 'blue' } })).toBe('field');
    expect(nameOf({ target: '/x', fields: { Host: 'b.example.com', 'X-Tenant': 'blue' } })).toBe('wild');
  });
  it('of any host are all that a request without one has', () => {
    expect(nameOf({ version: '1.0', target: '/x', fields: { Host: null } })).toBe('any');
    expect(nameOf({ version: '1.0', target: '/x/y', fields: { Host: null } })).toBeNull();
  });
  it('give the parameters of the path', () => {
    expect(table.websocket.find(requestOf(handshakeHead({ target: '/lobby', fields: { Host: 'h' } })))?.params).toEqual(
      {
        room: 'lobby',
      },
    );
  });
  it('are of one kind', () => {
    expect(table.http.find(requestOf(plainHead({ fields: { Host: 'other' } })))?.route.name).toBe('plain');
  });
  it('tell a trace of each route up to the first that fits, and why the others do not', () => {
    const seen: [string, string | null][] = [];
    const request = requestOf(handshakeHead({ target: '/y', fields: { Host: 'b.example.com' } }));
    table.websocket.find(request, (route, mismatch) => seen.push([route.name, mismatch]));
    expect(seen).toEqual([
      ['exact', 'host is not a.example.com'],
      ['wild', 'path is not /x'],
      ['field', 'path is not /x'],
      ['wild-all', null],
    ]);
  });
  it('find the same with and without a trace', () => {
    fc.assert(
      fc.property(
        fc.array(matchConfig, { minLength: 1, maxLength: 8 }),
        fc.array(matchable, { minLength: 10, maxLength: 10 }),
        (matches, changes) => {
          // Shadowed routes are problems, and stay in the table all the same.
          const { table } = compileTable(configOf(matches.map((match, i) => ({ name: `r${i}`, match, ...http }))));
          for (const change of changes) {
            const request = readRequest(plainHead(change));
            if ('fault' in request) continue;
            const seen: (string | null)[] = [];
            const traced = table.http.find(request, (_, mismatch) => seen.push(mismatch));
            expect(table.http.find(request)).toEqual(traced);
            // Every route before the one found did not fit.
            expect(seen.indexOf(null)).toBe(traced ? seen.length - 1 : -1);
          }
        },
      ),
      { numRuns },
    );
  });
});
