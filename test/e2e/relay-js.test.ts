// The js relay engine against the shared suite. Its timers are the only ones of this process that the test's clock moves.
import { afterAll, beforeAll, vi } from 'vitest';
import { JsRelay } from '../../src/relay/js/js.ts';
import { SteppedClock } from '../support/stepped-clock.ts';
import { describeRelay } from './relay.suite.ts';

beforeAll(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] }));
afterAll(() => void vi.useRealTimers());

const clock = new SteppedClock((ms) => void vi.advanceTimersByTime(ms));
const engine = () => new JsRelay();
describeRelay('js', { engine, clock, transport: 'plain' });
describeRelay('js', { engine, clock, transport: 'tls' });
