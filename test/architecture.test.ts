// Holds src to its layers and its measures. Each check is first shown to catch a file made to break it.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  checkHabits,
  checkInternals,
  checkLayers,
  checkPackages,
  checkPurity,
  checkRelay,
  checkSizes,
  type SourceFile,
} from './support/architecture.ts';
import { checkCircles } from './support/circles.ts';
import { checkDocs } from './support/comments.ts';
import { checkNames, checkOldNames, checkOldPaths, checkTwins } from './support/naming.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const listed = (folder: string) =>
  readdirSync(`${root}${folder}`, { recursive: true, encoding: 'utf8' }).map((path) => path.replaceAll('\\', '/'));
const sources: SourceFile[] = listed('src')
  .filter((path) => path.endsWith('.ts'))
  .map((path) => ({ path, text: readFileSync(`${root}src/${path}`, 'utf8') }));

const file = (path: string, ...lines: readonly string[]): SourceFile => ({
  path,
  text: ['// What it is for.', ...lines, ''].join('\n'),
});

it('sees the source', () => {
  expect(sources.map(({ path }) => path)).toEqual(expect.arrayContaining(['errors.ts', 'events.ts', 'relay/relay.ts']));
});

describe('layers', () => {
  it.each([
    ['a value', 'routing/decide.ts', "import { pick } from '../upstream/pool.ts';"],
    ['a type', 'events.ts', "import type { Config } from './config/schema.ts';"],
    ['an inline type', 'http/head.ts', "type A = import('../routing/table.ts').Table;"],
    ['a re-export', 'errors.ts', "export { decide } from './routing/decide.ts';"],
    ['a re-export of all', 'errors.ts', "export * from './events.ts';"],
    ['a late import', 'sessions/registry.ts', "const later = () => import('../pipeline/requests.ts');"],
    ['an import over several lines', 'config/parse.ts', 'import {\n  decide,\n} from\n  "../routing/decide.ts";'],
    ['a neighbour', 'relay/auto.ts', "import { compileTable } from '../routing/table.ts';"],
    ['observe from elsewhere than app', 'admin/admin.ts', "import { metrics } from '../observe/metrics.ts';"],
    ['demo from elsewhere than app', 'main.ts', "import { startDemo } from './demo/demo.ts';"],
    ['more than events in observe', 'observe/log.ts', "import type { Config } from '../config/schema.ts';"],
    ['the gateway in demo', 'demo/demo.ts', "import { Pool } from '../upstream/pool.ts';"],
    ['an unknown folder', 'misc/a.ts', "import { Pool } from '../upstream/pool.ts';"],
  ])('%s is caught', (_, path, line) => {
    expect(checkLayers([file(path, line)])).toHaveLength(1);
  });

  it('what is allowed is let through', () => {
    const fine = [
      file('routing/decide.ts', "import { readHandshake } from '../handshake/handshake.ts';"),
      file('routing/table.ts', "import { compile } from './pattern.ts';", "import * as z from 'zod';"),
      file('app.ts', "import { log } from './observe/log.ts';", "import { startDemo } from './demo/demo.ts';"),
      file('observe/log.ts', "import type { Emit } from '../events.ts';"),
      file('events.ts', "// import { x } from './app.ts';", 'const text = "import { x } from \'./app.ts\'";'),
    ];
    expect(checkLayers(fine)).toEqual([]);
  });

  it('src keeps to them', () => {
    expect(checkLayers(sources)).toEqual([]);
  });
});

describe('circles', () => {
  it('one across folders is caught, types included, once', () => {
    const three = [
      file('x/a.ts', "import { b } from './y/b.ts';"),
      file('x/y/b.ts', "import type { C } from './c.ts';"),
      file('x/y/c.ts', "import { a } from '../a.ts';"),
    ];
    expect(checkCircles(three)).toEqual(['x/a.ts and x/y/b.ts and x/y/c.ts import one another']);
  });

  it('one within a folder is let through', () => {
    const two = [file('a/a.ts', "import { b } from './b.ts';"), file('a/b.ts', "import type { A } from './a.ts';")];
    expect(checkCircles(two)).toEqual([]);
  });

  it('src has none across folders', () => {
    expect(checkCircles(sources)).toEqual([]);
  });
});

describe('relay', () => {
  it('is caught outside splice and app', () => {
    const line = "import { openRelay } from '../relay/js/js.ts';";
    expect(checkRelay([file('actions/terminate.ts', line), file('pipeline/requests.ts', line)])).toHaveLength(2);
    expect(checkRelay([file('actions/splice.ts', line)])).toEqual([]);
    expect(checkRelay([file('app.ts', "import { openRelay } from './relay/js/js.ts';")])).toEqual([]);
  });

  it('is imported by splice and app only', () => {
    expect(checkRelay(sources)).toEqual([]);
  });
});

describe('purity', () => {
  it.each([
    ['a function of net', 'http/head.ts', "import { isIP, connect } from 'node:net';"],
    ['all of net', 'handshake/handshake.ts', "import net from 'node:net';"],
    ['a namespace', 'routing/table.ts', "import * as http from 'http';"],
    ['ws', 'handshake/handshake.ts', "import { WebSocketServer } from 'ws';"],
    ['a file', 'config/parse.ts', "import { readFileSync } from 'node:fs';"],
    ['a side effect', 'routing/decide.ts', "import 'node:tls';"],
  ])('%s is caught', (_, path, line) => {
    expect(checkPurity([file(path, line)])).toHaveLength(1);
  });

  it('types and facts are let through, and load.ts may read', () => {
    const fine = [
      file('http/head.ts', "import type { IncomingMessage } from 'node:http';"),
      file('routing/table.ts', "import { BlockList, isIP, SocketAddress, type Socket } from 'node:net';"),
      file('handshake/handshake.ts', "import { createHash } from 'node:crypto';"),
      file('config/load.ts', "import { readFileSync } from 'node:fs';"),
      file('net/dial.ts', "import { connect } from 'node:net';"),
    ];
    expect(checkPurity(fine)).toEqual([]);
  });

  it('the pure layers of src are pure', () => {
    expect(checkPurity(sources)).toEqual([]);
  });
});

describe('packages', () => {
  it('a third user is caught, type imports and subpaths counted', () => {
    const users = ['a', 'b', 'c'].map((name) => file(`admin/${name}.ts`, `import type { X } from 'pkg/${name}';`));
    expect(checkPackages(users)).toHaveLength(1);
    expect(checkPackages(users.slice(1))).toEqual([]);
    const scoped = ['@x/a', '@x/b', '@x/c'].map((name, i) => file(`admin/${i}.ts`, `import { X } from '${name}';`));
    expect(checkPackages(scoped)).toEqual([]);
  });

  it('each stands behind two files at most', () => {
    expect(checkPackages(sources)).toEqual([]);
  });
});

describe('sizes', () => {
  const lines = (count: number) => Array.from({ length: count }, (_, i) => `  call(${i}, "{");`);

  it.each([
    ['a long file', file('a/a.ts', ...Array.from({ length: 300 }, (_, i) => `export const c${i} = ${i};`))],
    ['a long function', file('a/a.ts', 'export function f() {', ...lines(59), '}')],
    ['a long arrow', file('a/a.ts', 'export const f = () => {', ...lines(59), '};')],
    ['a long method', file('a/a.ts', 'export class A {', '  f() {', ...lines(59), '  }', '}')],
    ['five parameters', file('a/a.ts', 'export const f = (a: A, b: B, c: C, d: D, e: E) => a;')],
  ])('%s is caught', (_, bad) => {
    expect(checkSizes([bad])).toHaveLength(1);
  });

  it('60 lines of a function and 300 of a file are let through', () => {
    const longest = file('a/a.ts', ...Array.from({ length: 299 }, (_, i) => `export const c${i} = ${i};`));
    expect(checkSizes([longest, file('a/b.ts', 'export function f() {', ...lines(58), '}')])).toEqual([]);
  });

  it('src stays short', () => {
    expect(checkSizes(sources)).toEqual([]);
  });
});

describe('habits', () => {
  it.each([
    ['an exit', file('app.ts', 'export const stop = () => process.exit(1);')],
    ['state of a module', file('a/a.ts', 'let count = 0;', 'export const next = () => ++count;')],
    ['exported state', file('a/a.ts', 'export let count = 0;')],
    ['no word about its purpose', { path: 'a/a.ts', text: 'export const a = 1;\n' }],
  ])('%s is caught', (_, bad) => {
    expect(checkHabits([bad])).toHaveLength(1);
  });

  it('main may exit, and functions may count', () => {
    const fine = [
      { path: 'main.ts', text: '#!/usr/bin/env node\n// The executable.\nprocess.exit(0);\n' },
      file('a/a.ts', 'export const f = () => { let n = 0; n++; process.exitCode = n; };'),
    ];
    expect(checkHabits(fine)).toEqual([]);
  });

  it('src has them', () => {
    expect(checkHabits(sources)).toEqual([]);
  });
});

describe('comments', () => {
  it('an exported function without one is caught', () => {
    expect(checkDocs([file('a/a.ts', 'const a = 1;', 'export function f() {}')])).toHaveLength(1);
    expect(checkDocs([file('a/a.ts', '/** Of a. */', 'const a = 1;', 'export async function f() {}')])).toHaveLength(1);
  });

  it('one of its own, or of the overload before, is let through', () => {
    const lines = [
      '/** What it gives. */',
      'export function f(a: 1): 1;',
      'export function f(a: 2): 2;',
      'export function f(a: 1 | 2) { return a; }',
    ];
    expect(checkDocs([file('a/a.ts', ...lines)])).toEqual([]);
  });

  it('src has them', () => {
    expect(checkDocs(sources)).toEqual([]);
  });
});

describe('internals of node', () => {
  it.each([
    ['a field', 'export const f = (s: Socket) => (s as Open)._handle;'],
    ['a field by its text', "export const f = (s: Socket) => (s as Open)['_handle'];"],
    ['a field that may be missing', 'export const f = (s: Socket) => (s as Open)?._server?._connections;'],
    ['a field taken out', 'export const f = ({ _httpMessage: busy }: Open) => busy;'],
    ['a type of one', 'interface Open { readonly _parent?: Socket }'],
    ['an inline type of one', 'export const f = (s: unknown) => s as { _handle: null };'],
    ['a name without _', 'export const f = (s: Open) => s.handle.readStart();'],
    ['a type with one', 'interface Open { httpAllowHalfOpen: boolean }'],
    ['symbols of an object', 'export const f = (s: object) => Object.getOwnPropertySymbols(s);'],
    ['a module', "export const f = (r: NodeRequire) => r('_http_common');"],
    ['a method overwritten', 'export const f = (s: Socket) => { s.destroySoon = () => {}; };'],
    ['an option of a server that is there', 'export const f = (s: Server) => { s.maxHeaderSize = 1; };'],
  ])('%s is caught', (_, line) => {
    expect(checkInternals([file('a/a.ts', line)])).not.toEqual([]);
    expect(checkInternals([file('net/node-internals.ts', line)])).toEqual([]);
  });

  it('what node documents is let through', () => {
    const fine = [
      file('a/a.ts', 'class A extends Socket { override _write(c: C, e: E, d: D): void { super._write(c, e, d); } }'),
      file(
        'a/b.ts',
        'export const f = (_: A, _b: B) => createServer({ maxHeaderSize: 1 });',
        "export const t = '_a b';",
      ),
      file('a/c.ts', 'const _a = 1;'),
    ];
    expect(checkInternals(fine)).toEqual([]);
  });

  it('stand in one file of src', () => {
    expect(checkInternals(sources)).toEqual([]);
  });
});

describe('names', () => {
  it('those that say nothing are caught', () => {
    const bad = ['http/utils.ts', 'helpers/a.ts', 'common/b.ts', 'sessions/manager.ts', 'a/util.test.ts'];
    expect(checkNames([...bad, 'http/head.ts', 'config/community.ts'])).toEqual(bad);
  });

  it.each(['src', 'test'])('%s has none', (folder) => {
    expect(checkNames(listed(folder))).toEqual([]);
  });
});

describe('old words', () => {
  it('are caught in the names of files and folders', () => {
    const bad = ['listen/door.ts', 'net/take-over.ts', 'rehearsals/run.ts', 'rigs.ts', 'relay/native/doorKeeper.ts'];
    const fine = ['listen/indoor.ts', 'http/origin.ts', 'handshake/context-takeover.ts', 'upstream/original-rights.ts'];
    expect(checkOldPaths([...bad, ...fine]).map((problem) => problem.split(' ')[0])).toEqual(bad);
  });

  it.each([
    ['a function', 'export function giveBack() {}'],
    ['an async function', 'export async function inquire() {}'],
    ['a constant', 'export const MAX_PATIENCE_MS = 1;'],
    ['the second of two constants', 'export const a = 1, roster = 2;'],
    ['a class', 'export class HTTPDoorKeeper {}'],
    ['an interface', 'export interface Errands {}'],
    ['a type', 'export type Ways = string;'],
    ['a whole name', 'export interface Judge {}'],
    ['a default export', 'export default class Roster {}'],
    ['one of a list', 'class Roster {}\nexport { Roster };'],
    ['a method', 'export class A { letGo(): void {} }'],
    ['a private field', 'export class A { readonly #lookout = 1; }'],
    ['a private method', 'export class A { #takeOver(): void {} }'],
    ['an accessor', 'export class A { get outbox(): number { return 1; } }'],
    ['an abstract method', 'export abstract class A { abstract tidy(): void; }'],
    ['a property of an interface', 'export interface A { readonly patienceMs: number }'],
    ['a method of an interface', 'export interface A { putBack(): void }'],
    ['a property of a type', 'export type A = { readonly b: { readonly evictor: number } } | null;'],
  ])('%s with one is caught', (_, line) => {
    expect(checkOldNames([file('a/a.ts', line)])).toHaveLength(1);
  });

  it('words that only look like them are let through, and so is what is not exported', () => {
    const fine = [
      file('a/0.ts', 'export class A { constructor() {} valueOf() {} }'),
      file('a/a.ts', 'export const noContextTakeover = 1;', "export const origin = 'a door';"),
      file('a/b.ts', 'export class A { cork(): void {} judge(): void {} guest = 1; turns = 2; }'),
      file('a/c.ts', 'const roster = 1;', 'export function f() { const door = roster; return door; }'),
      file('a/d.ts', "export { giveBack as replay } from '../b/b.ts';", '// a lookout'),
    ];
    expect(checkOldNames(fine)).toEqual([]);
  });

  it('no file has one', () => {
    expect(checkOldPaths([...listed('src'), ...listed('test/support')])).toEqual([]);
  });

  it('src exports none', () => {
    expect(checkOldNames(sources)).toEqual([]);
  });
});

/** Types that stand in two files of src under one name, and why; today there are none. */
const TWINS: Readonly<Record<string, string>> = {};

describe('twins', () => {
  const two = (first: string, second: string) => [file('a/a.ts', first), file('b/b.ts', second)];

  it.each([
    ['interfaces', 'export interface Head {}', 'export interface Head {}'],
    ['a class and a type', 'export class Head {}', 'export type Head = string;'],
    ['an abstract class and a default export', 'export abstract class Head {}', 'export default class Head {}'],
    ['one in a list', 'export type Head = string;', 'interface Head {}\nexport type { Head };'],
  ])('%s of one name are caught', (_, first, second) => {
    expect(checkTwins(two(first, second), {})).toEqual(['Head is a type of a/a.ts and of b/b.ts']);
  });

  it.each([
    ['a re-export', 'export interface Head {}', "export type { Head } from '../a/a.ts';"],
    ['a type of the file itself', 'export interface Head {}', 'interface Head {}'],
    ['functions', 'export function open() {}', 'export function open() {}'],
    ['other names', 'export interface Head {}', 'export interface Heads {}'],
  ])('%s: let through', (_, first, second) => {
    expect(checkTwins(two(first, second), {})).toEqual([]);
  });

  it('a type and a value of one name in one file are one thing', () => {
    expect(checkTwins([file('a/a.ts', 'export const Head = {};', 'export type Head = string;')], {})).toEqual([]);
  });

  it('a reason allows them, and has to be needed', () => {
    const heads = two('export interface Head {}', 'export interface Head {}');
    expect(checkTwins(heads, { Head: 'two protocols' })).toEqual([]);
    expect(checkTwins(heads.slice(1), { Head: 'two protocols' })).toHaveLength(1);
  });

  it('src has none', () => {
    expect(checkTwins(sources, TWINS)).toEqual([]);
  });
});
