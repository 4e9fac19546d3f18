// Whether this process stood still for a while: stopped by a debugger, paused with its container or its machine, or starved
// of processor time.

/** So much later than the one before, in milliseconds, no timer comes that is due many times a second. */
const LATE_MS = 500;

/**
 * For a timer that looks many times a second, when it last did and now, in milliseconds. True: it leaves this time out, for
 * what peers have sent meanwhile still waits in the sockets, and is to be read before anyone is called silent.
 */
export function stoodStill(before: number, now: number): boolean {
  return now - before > LATE_MS;
}
