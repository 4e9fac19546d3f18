import { expect, it } from 'vitest';
import { GoawayWatch } from '../../../../src/listen/http2/goaway-watch.ts';
import { FRAME, frame, settings, uint32 } from '../../../support/http2-raw.ts';

const goaway = (code: number): Buffer => frame(FRAME.goaway, 0, 0, uint32(1, code));

/** Whether each of these writes tells that the session was given up. */
function told(...writes: Buffer[]): boolean[] {
  const watch = new GoawayWatch();
  return writes.map((bytes) => watch.take(bytes));
}

it('tells a GOAWAY with an error code, alone and behind other frames', () => {
  expect(told(settings([3, 100]), goaway(9))).toEqual([false, true]);
  expect(told(Buffer.concat([settings(), frame(FRAME.data, 0, 1, Buffer.alloc(70)), goaway(0x100)]))).toEqual([true]);
});

it('tells no GOAWAY of a session that closes in order', () => {
  expect(told(goaway(0), goaway(0))).toEqual([false, false]);
});

it('takes content for none, whole or apart from the head of its frame', () => {
  const data = frame(FRAME.data, 0, 1, goaway(2));
  expect(told(data)).toEqual([false]);
  expect(told(data.subarray(0, 9), data.subarray(9), goaway(1))).toEqual([false, false, true]);
  expect(told(data.subarray(0, 9), data.subarray(9, 20), data.subarray(20), settings())).toEqual([
    false,
    false,
    false,
    false,
  ]);
});
