// The drain: first not ready for load balancers, then no new connections, then a Close to every session, then the rest is cut.
// This file decides when; the callbacks of app.ts act on listeners, sessions and
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
  /** Returns the answers without an end, such as event streams. */
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
/** Milliseconds between checks for due sessions and for the end of the drain. */
const TICK_MS = 50;
/** Milliseconds after the cut for the sockets' "close" events, so that every session is reported. */
const LAST_WORDS_MS = 1000;
/** Milliseconds that a timer may fire early by performance.now(). */
const EARLY_MS = 1;

/**
 * Drains, and resolves when nothing is left. That is after the delay at the earliest, because until then the gateway serves
 * everything, and after delay + grace (and a second to report the cut sessions) at the latest.
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
    // The last tick may be later than the end; the grace is exact nevertheless.
    const ending = setTimeout(tick, config.grace);
    tick();
  });
}

/** A drain goes on if one of its steps throws. */
const attempt = guarded('drain', (step: () => void) => step());

function isLive(target: DrainTarget): boolean {
  return target.sessions().length > 0 || target.requests() > 0;
}

/** Something that is closed once, at its due time. */
type Closable = Session | EndlessAnswer;

/** The due time of each: one in each equal part of the spread, at a random time within that part. */
function planCloses(
  live: readonly Closable[],
  { start, spread, random }: { start: number; spread: number; random: () => number },
): Map<Closable, number> {
  const part = spread / live.length;
  return new Map(live.map((each, index) => [each, start + (index + random()) * part]));
}

/** Returns those that are due, each once. One that is not in the plan has just opened and is due at once. */
function takeDue<T extends Closable>(live: readonly T[], due: Map<Closable, number>, now: number): T[] {
  const found = live.filter((each) => (due.get(each) ?? now) <= now);
  for (const each of found) due.set(each, Number.POSITIVE_INFINITY);
  return found;
}
