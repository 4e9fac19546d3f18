// All certificates that the config orders from authorities. A reload stops those that the config no longer has, starts the new
// ones, and leaves the others as they are.
import type { Sample, Sampler } from '../events.ts';
import { Challenges } from './challenges.ts';
import {
  type CertificateServices,
  type CertificateSettings,
  type CertificateState,
  ManagedCertificate,
} from './managed-certificate.ts';

export class AcmeCertificates implements Sampler {
  readonly challenges: Challenges;
  readonly #services: CertificateServices;
  /** By their settings as JSON: two listeners may want the same one. */
  #managed: ReadonlyMap<string, ManagedCertificate> = new Map();

  /** The config no longer has them; an order of theirs may still be under way. */
  readonly #leaving = new Set<ManagedCertificate>();

  constructor(services: Omit<CertificateServices, 'challenges'>) {
    this.challenges = new Challenges(services.clock);
    this.#services = { ...services, challenges: this.challenges };
  }

  configure(wanted: readonly CertificateSettings[]): void {
    const before = this.#managed;
    const next = new Map<string, ManagedCertificate>();
    for (const settings of wanted) {
      const key = JSON.stringify(settings);
      if (next.has(key)) continue;
      const known = before.get(key);
      const managed = known ?? new ManagedCertificate(settings, this.#services);
      next.set(key, managed);
      if (known === undefined) managed.start();
    }
    for (const [key, managed] of before) {
      if (next.has(key)) continue;
      managed.stop();
      this.#leaving.add(managed);
    }
    for (const managed of this.#leaving) if (!managed.busy) this.#leaving.delete(managed);
    this.#managed = next;
    this.challenges.share([...new Set([...next.values()].map(({ challengeFolder }) => challengeFolder))]);
  }

  /** The state of each certificate of the config in force. */
  states(): CertificateState[] {
    return [...this.#managed.values()].map(({ state }) => state);
  }

  *sample(): Iterable<Sample> {
    for (const { names, lastError } of this.states()) {
      const labels = { names: names.join(',') };
      yield { metric: 'acme_last_order_successful', labels, value: lastError === null ? 1 : 0 };
    }
  }

  /** The process ends; resolves when nothing is under way any more. */
  async close(): Promise<void> {
    await Promise.all([...this.#managed.values(), ...this.#leaving].map((managed) => managed.abandon()));
  }
}
