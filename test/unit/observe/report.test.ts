import { afterEach, expect, it } from 'vitest';
import { type Defect, onDefect } from '../../../src/base/guard.ts';
import { reportTo } from '../../../src/observe/report.ts';
import { EVENTS } from './every-event.ts';

let stop = (): void => {};
afterEach(() => stop());

it('never throws: a defect of an observer is reported, but not that of telling of a defect', () => {
  const defects: Defect[] = [];
  stop = onDefect((defect) => defects.push(defect));
  const broken = {
    emit: () => {
      throw new Error('no label');
    },
  };
  const emit = reportTo({
    metrics: broken,
    log: { emit: () => {} },
    limits: { observe: () => {} },
    spans: { emit: () => {} },
    readings: { observe: () => {} },
  });
  emit(EVENTS.notice);
  emit(EVENTS.internal_error);
  expect(defects.map(({ where, thrown }) => [where, String(thrown)])).toEqual([['events', 'Error: no label']]);
});
