import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { GatewayEvent } from '../../../src/events.ts';
import { Supervisor } from '../../../src/runtime/supervisor.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const supervised = (env: Record<string, string>, fault: Error | null = null) => {
  const told: string[] = [];
  const events: GatewayEvent[] = [];
  const notify = (path: string, text: string): void => {
    if (fault !== null) throw fault;
    told.push(`${path} ${text.split('\n')[0]}`);
  };
  const options = { env, pid: 7, emit: (event: GatewayEvent) => void events.push(event), openNotify: () => notify };
  return { told, events, supervisor: new Supervisor({ ...options, now: () => 5_000_999n }), options };
};

it('without a socket nobody is told anything', () => {
  const { told, supervisor } = supervised({ WATCHDOG_USEC: '1000' });
  supervisor.ready();
  supervisor.stopping();
  vi.advanceTimersByTime(1000);
  expect(told).toEqual([]);
});

it('a reload that ends while it is stopping does not make it ready again', () => {
  const { told, supervisor } = supervised({ NOTIFY_SOCKET: '/n' });
  supervisor.ready();
  supervisor.reloading();
  supervisor.stopping();
  supervisor.ready();
  expect(told).toEqual(['/n READY=1', '/n RELOADING=1', '/n STOPPING=1']);
});

it.each([
  [{ WATCHDOG_USEC: '20000' }, 4],
  [{ WATCHDOG_USEC: '20000', WATCHDOG_PID: '7' }, 4],
  // For another process, off, and nonsense.
  [{ WATCHDOG_USEC: '20000', WATCHDOG_PID: '8' }, 0],
  [{ WATCHDOG_USEC: '0' }, 0],
  [{ WATCHDOG_USEC: 'soon' }, 0],
  [{}, 0],
])('%j: %i words of the watchdog in 40 ms, none behind close()', (env, count) => {
  const { told, supervisor } = supervised({ NOTIFY_SOCKET: '@n', ...env });
  supervisor.ready();
  supervisor.ready();
  vi.advanceTimersByTime(40);
  supervisor.close();
  vi.advanceTimersByTime(40);
  expect(told.filter((text) => text === '@n WATCHDOG=1')).toHaveLength(count);
});

it('what fails is a warning, when it is sent and where it cannot be', () => {
  const { events, supervisor, options } = supervised({ NOTIFY_SOCKET: '/n' }, new Error('sendto: ENOENT'));
  supervisor.ready();
  const openNotify = (): never => {
    throw new Error('no addon\nand a stack of paths');
  };
  new Supervisor({ ...options, openNotify }).ready();
  expect(events).toEqual(
    ['sendto: ENOENT', 'no addon'].map((why) =>
      expect.objectContaining({ level: 'warn', message: 'the supervisor (NOTIFY_SOCKET) is not told', data: { why } }),
    ),
  );
});
