// What the terminated sessions of one route share.

import type { TimerWheel } from '../../base/timer-wheel.ts';
import type { Emit } from '../../events.ts';
import type { Connections } from '../connections.ts';
import type { InboundLimits } from './inbound.ts';
import type { RouteMeter } from './meter.ts';
import type { SendQueueRules } from './send-queue.ts';
import type { WsSocketLimits } from './ws-socket.ts';

export interface SessionContext {
  readonly route: string;
  readonly wheel: TimerWheel;
  readonly meter: RouteMeter;
  readonly emit: Emit;
  readonly connections: Connections;
  readonly sendQueue: SendQueueRules;
  readonly limits: InboundLimits & Pick<WsSocketLimits, 'max_message'>;
}
