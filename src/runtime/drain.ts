// How the gateway stops in order: not ready for load balancers, then no new connections, then every session closed,
// then the rest cut. It decides when; the callbacks of app do what each step needs with listeners, sessions and
// sockets.
import { background, guarded } from '../base/guard.ts';
import type { DrainConfig } from '../config/schema/schema.ts';
import type { DrainChanged, Emit } from '../events.ts';
import type { Session } from '../sessions/registry.ts';
import type { EndlessAnswer } from '../upstream/endless.ts';

/** What a drain acts on. */
export interface DrainTarget {
  /** T0: `/readyz` answers 503 from here on; everything is still served. */
  notReady(): void;
  /**
   * T0 + delay: closes the listening sockets; when it resolves, handshakes are refused with `draining` on open connections.
   */
  stopListening(): Promise<void>;
  /** Returns the live sessions. */
  sessions(): readonly Session[];
  /** How many plain requests are being answered, and handshakes decided. */
  requests(): number;
  /** Those of the requests whose answers would not end by themselves. */
  endlessAnswers(): readonly EndlessAnswer[];
  /** The end of the grace: destroys the connections that still have a request on them. */
  cutRequests(): void;
}

export interface DrainOptions {
  readonly config: DrainConfig;
  readonly target: DrainTarget;
  readonly emit: Emit;
  /** At least 0 and less than 1; for the jitter. */
  readonly random?: () => number;
}

/** Going Away (RFC 6455 §7.4.1). */
const GOING_AWAY = 1001;
/** Milliseconds between checks of which sessions are due and whether anything is left. */
const TICK_MS = 50;
/** After the cut: for the sockets' own "close" events, so that every session is still reported. */
const LAST_WORDS_MS = 1000;
/** A timer may fire this much before its time by performance.now(). */
const EARLY_MS = 1;

/**
 * Drains, and resolves when nothing is left: after the delay at the earliest, for until then the gateway serves everything,
 * and after delay + grace (and a second for the cut ones to be reported) at the latest.
 */
export function startDrain({ config, target, emit, random = Math.random }: DrainOptions): Promise<void> {
  const notify = (phase: DrainChanged['phase']): void => {
    emit({ type: 'drain', phase, sessions: target.sessions().length, requests: target.requests() });
  };
  target.notReady();
  notify('started');
  return new Promise((resolve) => {
    const close = (): void => {
      notify('listeners_closed');
      const closing = closeAll({ config, target, random }, () => notify('cut'));
      background(
        'drain',
        closing.then(() => notify('done')),
      );
      closing.then(resolve, resolve);
    };
    setTimeout(() => {
      const stopped = target.stopListening();
      background('drain', stopped);
      stopped.then(close, close);
    }, config.delay);
  });
}

/** Closes the sessions, and ends the answers that have no end, over `spread`, cuts what is left after `grace`, and resolves when nothing is. */
function closeAll({ config, target, random }: Required<Omit<DrainOptions, 'emit'>>, onCut: () => void): Promise<void> {
  const start = performance.now();
  const end = start + config.grace;
  const due = planCloses([...target.sessions(), ...target.endlessAnswers()], { start, spread: config.spread, random });
  let cutting = false;

  const step = (now: number): void => {
    if (now < end - EARLY_MS) {
      for (const session of takeDue(target.sessions(), due, now))
        attempt(() => session.close(GOING_AWAY, 'drain', end - now));
      for (const answer of takeDue(target.endlessAnswers(), due, now)) attempt(() => answer.endEarly());
      return;
    }
    if (!cutting) {
      cutting = true;
      if (isLive(target)) onCut();
      attempt(() => target.cutRequests());
    }
    for (const session of target.sessions()) attempt(() => session.cut('drain'));
  };
  return new Promise((resolve) => {
    const tick = (): void => {
      const now = performance.now();
      step(now);
      if (now < end + LAST_WORDS_MS && isLive(target)) return;
      clearInterval(ticking);
      clearTimeout(ending);
      resolve();
    };
    const ticking = setInterval(tick, TICK_MS);
    // Ticks may straddle the end; the grace is kept all the same.
    const ending = setTimeout(tick, config.grace);
    tick();
  });
}

/** A drain goes on where one of its steps throws. */
const attempt = guarded('drain', (step: () => void) => step());

function isLive(target: DrainTarget): boolean {
  return target.sessions().length > 0 || target.requests() > 0;
}

/** What is closed once, at its time. */
type Closable = Session | EndlessAnswer;

/** When each is closed: one in each equal part of the spread, somewhere within that part. */
function planCloses(
  live: readonly Closable[],
  { start, spread, random }: { start: number; spread: number; random: () => number },
): Map<Closable, number> {
  const part = spread / live.length;
  return new Map(live.map((each, index) => [each, start + (index + random()) * part]));
}

/** Those that are due, each once. One that is not in the plan has just opened, and is due at once. */
function takeDue<T extends Closable>(live: readonly T[], due: Map<Closable, number>, now: number): T[] {
  const found = live.filter((each) => (due.get(each) ?? now) <= now);
  for (const each of found) due.set(each, Number.POSITIVE_INFINITY);
  return found;
}
