import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { type Keyboard, onTerminal } from '../../../src/app/terminal.ts';

function keyboard(isTTY = true) {
  const calls: string[] = [];
  const keys = new EventEmitter();
  const input = Object.assign(keys, {
    isTTY,
    setRawMode: (raw: boolean) => void calls.push(raw ? 'raw' : 'cooked'),
    pause: () => void calls.push('paused'),
  }) as unknown as Keyboard;
  return { calls, keys, input };
}
const OUTPUT = { isTTY: true, rows: 24, columns: 80 };

describe('a terminal', () => {
  it.each(['q', '\u0003', 'xq'])('is given back as it was after %j', async (typed) => {
    const { calls, keys, input } = keyboard();
    const aborted = await onTerminal({ input, output: OUTPUT }, async (terminal) => {
      expect(terminal).toMatchObject({ rows: 24, columns: 80 });
      keys.emit('data', Buffer.from('x'));
      expect(terminal?.quit.aborted).toBe(false);
      keys.emit('data', Buffer.from(typed));
      return terminal?.quit.aborted;
    });
    expect(aborted).toBe(true);
    expect(calls).toEqual(['raw', 'cooked', 'paused']);
    expect(keys.listenerCount('data')).toBe(0);
  });

  it('is given back after a failure, too', async () => {
    const { calls, input } = keyboard();
    const failing = onTerminal({ input, output: OUTPUT }, () => Promise.reject(new Error('no')));
    await expect(failing).rejects.toThrow('no');
    expect(calls).toEqual(['raw', 'cooked', 'paused']);
  });

  it('takes no keys where the input is none, and is null where the output is none', async () => {
    const { calls, input } = keyboard(false);
    const columnsOf = (output: typeof OUTPUT) =>
      onTerminal({ input, output }, async (terminal) => terminal?.columns ?? null);
    expect(await columnsOf(OUTPUT)).toBe(80);
    expect(await columnsOf({ ...OUTPUT, isTTY: false })).toBe(null);
    expect(calls).toEqual([]);
  });
});
