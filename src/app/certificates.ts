// The certificates in service over the life of the process: those that are ordered from authorities, and what becomes of new
// ones in their files while the config's own file is one that is refused.
import { dirname, resolve } from 'node:path';
import { AcmeCertificates } from '../acme/certificates.ts';
import { wantedCertificates } from '../acme/settings.ts';
import { systemClock } from '../base/clock.ts';
import type { Emit } from '../events.ts';
import type { Wanted } from '../listen/listener.ts';
import type { Listeners } from '../listen/listeners.ts';
import type { OpenTlsChallenges } from '../listen/tls-alpn-challenges.ts';
import type { ChallengeText } from '../pipeline/challenge.ts';
import { type Preparation, type Prepared, renewTls } from '../runtime/prepare.ts';
import type { SelfSignedCache } from '../runtime/tls/tls.ts';
import { anyChanged, type WatchedFiles } from '../runtime/watch.ts';

export class Certificates {
  readonly selfSigned: SelfSignedCache = new Map();
  readonly #acme: AcmeCertificates;
  #inForce: Prepared | null = null;
  #files: WatchedFiles = new Map();

  constructor(emit: Emit, version: string) {
    this.#acme = new AcmeCertificates({ emit, version, clock: systemClock('config'), random: Math.random });
  }

  readonly challengeText: ChallengeText = (token) => this.#acme.challenges.textFor(token);

  get challenges(): OpenTlsChallenges {
    return this.#acme.challenges;
  }

  /** How far each of those is that are ordered; their samples are metrics. */
  get ordered(): AcmeCertificates {
    return this.#acme;
  }

  /** A config takes effect: what it wants is ordered from here on. */
  configure(prepared: Prepared): void {
    this.#inForce = prepared;
    this.#acme.configure(wantedCertificates(prepared.config, dirname(resolve(prepared.source.file))));
  }

  /** The files whose changes matter: beside a config that is refused, those of the one in force. */
  watched({ prepared, files }: Preparation): WatchedFiles {
    this.#files = prepared === null ? new Map([...this.#files, ...files]) : files;
    return this.#files;
  }

  /** Whether one of those files is another one than when it was last read. */
  stale(): Promise<boolean> {
    return anyChanged(this.#files);
  }

  /** Serves the certificates that the files hold now, where they are others than those in service. */
  async renew(listeners: Listeners): Promise<void> {
    const before = this.#inForce;
    if (before === null) return;
    const renewed = await renewTls(before, this.selfSigned);
    if (identityOf(renewed) === identityOf(before)) return;
    const next = await listeners.prepare(wantedListeners(renewed));
    if (typeof next === 'string') return;
    listeners.swap(next);
    this.#inForce = renewed;
  }

  /** Orders nothing any more; resolves when nothing is under way. */
  close(): Promise<void> {
    return this.#acme.close();
  }
}

/** The listeners of a config, each with the TLS material that was read for it; null: plain. */
export function wantedListeners({ config, tls }: Prepared): Wanted[] {
  const { server } = config.http;
  return config.listeners.map((listener, i) => ({ config: listener, tls: tls[i] ?? null, server }));
}

/** Two certificates of the same names that end at the same second are taken for the same. */
function identityOf({ tls }: Prepared): string {
  return JSON.stringify(tls.map((material) => material?.certificates ?? null));
}
