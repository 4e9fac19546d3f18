/** Nothing of this thread goes on for so many milliseconds: what comes meanwhile waits in its sockets. */
export function blockThread(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
