// The rehearsal before the listeners are bound, with a relay, metrics and a log of its own that nobody sees.
import { createSplice } from '../actions/splice.ts';
import type { Config } from '../config/schema.ts';
import { createLog } from '../observe/log.ts';
import { createMetrics } from '../observe/metrics.ts';
import { reportTo } from '../observe/report.ts';
import { openRelay } from '../relay/auto.ts';
import { rehearse, type StageParts } from '../server/rehearsal.ts';
import { Throttle } from '../sessions/throttle.ts';

/** Rehearses as the config says. Rejects where loopback can't be bound or reached. */
export function warmUp(config: Config, version: string): Promise<void> {
  return rehearse(config, { open: () => open(config, version) });
}

function open(config: Config, version: string): StageParts {
  const metrics = createMetrics({ version, samplers: [] });
  const log = createLog({ ...config.log, destination: { write: () => {}, flush: () => Promise.resolve() } });
  const throttle = new Throttle();
  const { relay } = openRelay(config.relay.engine, 1);
  return {
    emit: reportTo({ metrics, log, throttle }),
    throttle,
    splice: createSplice(relay),
    accepting: relay.accepting,
    close: () => relay.stop(),
  };
}
