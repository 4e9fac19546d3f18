import { afterEach, expect, it } from 'vitest';
import { background, type Defect, guarded, onDefect, reportDefect } from '../../../src/base/guard.ts';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

function listen(): Defect[] {
  const defects: Defect[] = [];
  ends.push(onDefect((defect) => defects.push(defect)));
  return defects;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

it('hands a callback its arguments, and says nothing where it does not throw', async () => {
  const defects = listen();
  const got: unknown[] = [];
  const call = guarded(
    'relay',
    (...args: [number, string]) => void got.push(...args),
    () => got.push('broken'),
  );
  call(1, 'a');
  await turn();
  expect(got).toEqual([1, 'a']);
  expect(defects).toEqual([]);
});

it('reports what is thrown, and then ends what was served', () => {
  const defects = listen();
  const thrown = new Error('a defect');
  const ended: string[] = [];
  const call = guarded(
    'websocket',
    (_: string) => {
      throw thrown;
    },
    (name) => ended.push(`${name}, ${defects.length} reported`),
  );
  call('this one');
  expect(defects).toEqual([{ where: 'websocket', thrown, id: null }]);
  expect(ended).toEqual(['this one, 1 reported']);
});

it('reports what an async callback rejects with', async () => {
  const defects = listen();
  const ended: number[] = [];
  guarded(
    'admin',
    async (_: number) => {
      await turn();
      throw 'no error at all';
    },
    (number) => ended.push(number),
  )(7);
  expect(ended).toEqual([]);
  await expect.poll(() => ended).toEqual([7]);
  expect(defects).toEqual([{ where: 'admin', thrown: 'no error at all', id: null }]);
});

it('reports what the ending throws as well', () => {
  const defects = listen();
  const broken = (text: string) => () => {
    throw text;
  };
  guarded('upstream', broken('first'), broken('second'))();
  expect(defects.map(({ thrown }) => thrown)).toEqual(['first', 'second']);
});

it('reports the rejection of work that nobody awaits, and calls the ending', async () => {
  const defects = listen();
  const ended: string[] = [];
  background('config', Promise.reject(new Error('late')), () => ended.push('ended'));
  background('config', Promise.resolve(), () => ended.push('wrongly'));
  await turn();
  expect(defects.map(({ where, thrown }) => [where, String(thrown)])).toEqual([['config', 'Error: late']]);
  expect(ended).toEqual(['ended']);
});

it('nobody is told any more once it has stopped listening', () => {
  const defects: Defect[] = [];
  const stop = onDefect((defect) => defects.push(defect));
  reportDefect('drain', 1, 'req-1');
  stop();
  reportDefect('drain', 2);
  expect(defects).toEqual([{ where: 'drain', thrown: 1, id: 'req-1' }]);
});
