// What needs two fields to judge about limits: a claim that no limit uses, limits of a claim that is not named, rates that
// are shared by nobody or through a Redis that is not there.

import type { ConfigPath } from '../problem.ts';
import type { Written } from '../problems/prune.ts';
import type { Config } from '../schema/schema.ts';
import { error, type Problems, warning } from './findings.ts';

/** The limits of one kind of request on a route, and where they stand. */
interface Scope {
  readonly limits: Readonly<Record<string, unknown>>;
  /** Whether the route tells who its clients are. */
  readonly authenticates: boolean;
  readonly path: ConfigPath;
}

/** Rates of one session, which one gateway holds. */
const OF_MESSAGES: ReadonlySet<string> = new Set(['messages_per_second', 'bytes_per_second']);

/** Problems of limits, those of routes and those of the gateway. */
export function* checkLimits(config: Config, written: Written): Problems {
  const scopes = config.routes.flatMap((route, i): Scope[] =>
    (['websocket', 'http'] as const).flatMap((kind) => {
      const limits = route[kind]?.limits;
      const authenticates = route.auth !== undefined || written.lost(['routes', i, 'auth']);
      return limits === undefined ? [] : [{ limits, authenticates, path: ['routes', i, kind, 'limits'] }];
    }),
  );
  for (const scope of scopes) yield* checkClaim(scope, written);
  yield* checkShared(config, scopes, written);
}

function* checkClaim({ limits, authenticates, path }: Scope, written: Written): Problems {
  const [first] = Object.keys(limits).filter((key) => key.endsWith('_per_claim'));
  const claim = limits['claim'];
  if (claim === undefined && first !== undefined && !written.lost([...path, 'claim'])) {
    yield error([...path, first], 'needs "claim"', { hint: 'such as claim: sub', at: 'key' });
  }
  if (claim !== undefined && !authenticates) {
    yield error([...path, 'claim'], 'the route has no "auth"', { hint: 'claims come from credentials', at: 'key' });
  }
  if (claim !== undefined && first === undefined && !written.lostWithin(path)) {
    yield error([...path, 'claim'], 'no limit goes by it', { hint: 'add one `_per_claim`, or take it out', at: 'key' });
  }
}

function* checkShared({ limits, broker }: Config, scopes: readonly Scope[], written: Written): Problems {
  const { shared } = limits;
  const path = ['limits', 'shared'];
  if (shared === 'memory' || written.lost(path)) return;
  if (shared === 'redis' && broker === 'memory' && !written.lost(['broker'])) {
    const hint = 'name it in `broker`, or here: shared: redis://host:6379';
    yield error(path, 'the broker is no Redis', { hint });
  }
  const keys = [limits, ...scopes.map((scope) => scope.limits)].flatMap((scope) => Object.keys(scope));
  const shares = keys.some((key) => /_per_second(?:_per_|$)/.test(key) && !OF_MESSAGES.has(key));
  if (shares || written.lostWithin(['limits']) || written.lostWithin(['routes'])) return;
  yield warning(path, 'there is no rate to share', { hint: 'live sessions are counted by each gateway' });
}
