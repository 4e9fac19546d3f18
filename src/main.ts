#!/usr/bin/env node
// The executable, and the only place that ends the process. Signals are taken over before the program itself is loaded: a
// supervisor may send one at any moment.
import { setImmediate } from 'node:timers/promises';
import { Lifecycle } from './app/lifecycle.ts';

const args = process.argv.slice(2);
const lifecycle = new Lifecycle({ exit: (code) => process.exit(code), serves: args.includes('run') });
lifecycle.watch();
const { main } = await import('./app/cli.ts');
// One turn of the event loop: a signal that came while the program was loaded is obeyed before anything is opened. node 26
// loads a program without one.
await setImmediate();
// What is thrown here is an escape like any other.
const code = await main(args, lifecycle);
if (code !== null) await lifecycle.end(code);
