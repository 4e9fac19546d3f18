// Preloaded into the gateway under soak: SIGUSR2 collects garbage, so that memory can be compared at rest. Needs --expose-gc.
process.on('SIGUSR2', () => globalThis.gc());
