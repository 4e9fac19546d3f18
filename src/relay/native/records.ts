// The numbers by which the addon and JavaScript tell each other of tunnels: policies, records of ends, counters.
import type { Initiator } from '../../events.ts';
import type { RouteCounters } from '../counters.ts';
import type { DirectionLimits, TunnelEnd, TunnelOptions } from '../relay.ts';
import { wholeMs } from './addon.ts';

export const CLOSE_RECORD_FIELDS = 11;
const INITIATORS: readonly Initiator[] = ['gateway', 'client', 'backend', 'gateway'];
/** By enum reason in tunnel.h; the first stands for the reason given to close() or cut(). */
const REASONS = [
  '',
  'closed',
  'reset',
  'idle',
  'max_lifetime',
  'max_message',
  'messages_per_second',
  'bytes_per_second',
  'lost',
  'ping_timeout',
] as const;

/** As addon.c takes a policy. `stream`: its client may end its side and wait as long as it likes for the other's end. */
export function policyNumbers({ inspect, idleMs, ping, limits }: TunnelOptions, stream = false): number[] {
  return [
    inspect ? 1 : 0,
    wholeMs(idleMs),
    ping === null || !inspect ? 0 : wholeMs(ping.everyMs),
    ping === null || !inspect ? 0 : wholeMs(ping.timeoutMs),
    ...limitNumbers(inspect ? limits.fromClient : null),
    ...limitNumbers(inspect ? limits.toClient : null),
    stream ? 1 : 0,
  ];
}

function limitNumbers(limits: DirectionLimits | null): number[] {
  if (limits === null) return [-1, 0, 0, 0];
  const { maxMessage, messagesPerSecond, bytesPerSecond, onLimit } = limits;
  return [maxMessage ?? -1, messagesPerSecond ?? 0, bytesPerSecond ?? 0, onLimit === 'pause' ? 1 : 0];
}

/** Reads field by field: destructuring would run an iterator for every tunnel that ends. */
export function readCloseRecord(numbers: Float64Array, at: number, closeReason: string): TunnelEnd {
  const code = numbers[at + 6] ?? 0;
  const reason = numbers[at + 8] ?? 0;
  const inspected = numbers[at + 10] !== 0;
  return {
    fromClient: { bytes: numbers[at + 1] ?? 0, messages: inspected ? (numbers[at + 3] ?? 0) : null },
    toClient: { bytes: numbers[at + 2] ?? 0, messages: inspected ? (numbers[at + 4] ?? 0) : null },
    discarded: numbers[at + 5] ?? 0,
    code: code === 0 ? null : code & 0xffff,
    initiator: INITIATORS[numbers[at + 7] ?? 0] ?? 'gateway',
    reason: reason === 0 ? closeReason : (REASONS[reason] ?? 'closed'),
    cut: numbers[at + 9] !== 0,
  };
}

/** Adds one policy's counters, in the order in which the addon's counters() fills them in. */
export function addCounters(to: RouteCounters, numbers: Float64Array): void {
  const [bytes = 0, text = 0, binary = 0, bytesBack = 0, textBack = 0, binaryBack = 0, ...others] = numbers;
  const [sent = 0, pong = 0, timeout = 0, lost = 0, lostBack = 0] = others;
  to.fromClient.bytes += bytes;
  to.fromClient.text += text;
  to.fromClient.binary += binary;
  to.fromClient.lost += lost;
  to.toClient.bytes += bytesBack;
  to.toClient.text += textBack;
  to.toClient.binary += binaryBack;
  to.toClient.lost += lostBack;
  to.pings.sent += sent;
  to.pings.pong += pong;
  to.pings.timeout += timeout;
}
