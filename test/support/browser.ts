// A real Chromium for tests of the console: Debian's, without a network of its own.
import { type Browser, chromium } from 'playwright-core';

/** Opens a browser; `hasPeers('chromium')` tells whether there is one. */
export async function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [
      // Tests run as root in containers, where its own sandbox can't be.
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--disable-background-networking',
      '--disable-sync',
      '--no-first-run',
    ],
  });
}
