// One certificate that an authority issues and renews for as long as the config has it. It is written to a file, which runtime/tls
// watches and serves; this module only orders it, and renews it in time.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import { reportDefect } from '../base/guard.ts';
import type { Emit } from '../events.ts';
import { AcmeError } from './acme-error.ts';
import type { Challenges } from './challenges.ts';
import { AcmeClient } from './client.ts';
import type { ExternalAccount } from './jws.ts';
import { LockFile } from './lock-file.ts';
import { type ChallengeType, order } from './order.ts';
import { pauseAfter, renewalTime, type Validity, validityOf, waitAfter } from './renewal.ts';
import { RenewalInfo } from './renewal-info.ts';
import { AcmeStorage, readOrNull } from './storage.ts';
import { openTransport } from './transport.ts';

/** Its settings in the config; paths are absolute. */
export interface CertificateSettings {
  readonly domains: readonly string[];
  readonly email: string | null;
  readonly directory: string;
  readonly eab: ExternalAccount | null;
  /** CA certificates for the connection to the directory; null: those of node. */
  readonly ca: string | null;
  readonly challenges: readonly ChallengeType[];
  /** The authority's folder, and the certificate's file in it. */
  readonly folder: string;
  readonly file: string;
}

/** Its state; times in milliseconds since 1970. */
export interface CertificateState {
  readonly names: readonly string[];
  readonly authority: string;
  /** When the stored certificate expires; null: there is none yet. */
  readonly notAfterMs: number | null;
  /** Why the last order failed; null if it did not. */
  readonly lastError: OrderFailure | null;
  /** When the next order is due, unless the authority moves it; null: an order is under way. */
  readonly nextAttemptMs: number | null;
}

export interface OrderFailure {
  readonly atMs: number;
  /** An error type of RFC 8555 §6.7, or one of ours (acme-error.ts). */
  readonly reason: string;
  readonly detail: string;
}

export interface CertificateServices {
  readonly challenges: Challenges;
  readonly clock: Clock;
  /** A number from 0 to 1, as Math.random gives it. */
  readonly random: () => number;
  readonly emit: Emit;
  readonly version: string;
}

/** Longest time between two looks at the file: another gateway may have renewed it, or somebody removed it. */
const LOOK_MS = 3600_000;
/** Time until the next look while another gateway's order is under way. */
const LOCKED_MS = 15_000;

export class ManagedCertificate {
  readonly settings: CertificateSettings;
  readonly #services: CertificateServices;
  readonly #storage: AcmeStorage;
  readonly #lock: LockFile;
  readonly #renewalInfo: RenewalInfo;
  readonly #stopping = new AbortController();
  #failures = 0;
  #notAfterMs: number | null = null;
  #lastError: OrderFailure | null = null;
  #nextAttemptMs: number | null = null;
  #cancel = (): void => {};
  #work: Promise<void> | null = null;
  #stopped = false;

  constructor(settings: CertificateSettings, services: CertificateServices) {
    this.settings = settings;
    this.#services = services;
    this.#storage = new AcmeStorage(settings.folder);
    this.#lock = new LockFile(`${settings.file}.lock`, services.clock);
    this.#renewalInfo = new RenewalInfo(services.clock, services.random);
  }

  get challengeFolder(): string {
    return this.#storage.challengeFolder;
  }

  start(): void {
    this.#nextAttemptMs = this.#services.clock.now();
    this.#next(0);
  }

  get state(): CertificateState {
    const { domains: names } = this.settings;
    const [notAfterMs, lastError, nextAttemptMs] = [this.#notAfterMs, this.#lastError, this.#nextAttemptMs];
    return { names, authority: this.#authority, notAfterMs, lastError, nextAttemptMs };
  }

  get #authority(): string {
    return new URL(this.settings.directory).host;
  }

  /** Whether an order or a look at the file is under way. */
  get busy(): boolean {
    return this.#work !== null;
  }

  /** Starts nothing any more. An order that is under way goes on to its end. */
  stop(): void {
    this.#cancel();
    this.#stopped = true;
  }

  /** The process ends: aborts what is under way. Resolves when that has ended. */
  async abandon(): Promise<void> {
    this.stop();
    this.#stopping.abort(new AcmeError('other', 'the gateway is stopping'));
    await this.#work;
  }

  #next(ms: number): void {
    if (this.#stopped) return;
    this.#cancel = this.#services.clock.after(ms, () => {
      this.#work = this.#look().finally(() => {
        this.#work = null;
      });
    });
  }

  async #look(): Promise<void> {
    const started = this.#services.clock.now();
    try {
      this.#next(await this.#step());
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      this.#failures++;
      const known = error instanceof AcmeError ? error : new AcmeError('other', String(error));
      if (known !== error) reportDefect('config', error);
      const retryInMs = waitAfter(this.#failures, known.retryAfterMs, this.#services.random());
      const [reason, detail, now] = [known.type, known.message, this.#services.clock.now()];
      this.#lastError = { atMs: now, reason, detail };
      this.#nextAttemptMs = now + retryInMs;
      this.#tell({ result: 'failed', reason, detail, retryInMs }, started);
      this.#next(retryInMs);
    }
  }

  /** Orders if that is due; resolves with the time until the next look. */
  async #step(): Promise<number> {
    const { clock } = this.#services;
    const current = await this.#stored();
    const due = current === null ? clock.now() : await this.#dueAt(current);
    this.#notAfterMs = current === null ? null : validityOf(current).to;
    this.#nextAttemptMs = due;
    const wait = due - clock.now();
    if (wait > 0) {
      // Another gateway may have replaced it.
      this.#lastError = null;
      return Math.min(wait, LOOK_MS);
    }
    const release = await this.#lock.acquire();
    if (release === null) {
      this.#nextAttemptMs = clock.now() + LOCKED_MS;
      return LOCKED_MS;
    }
    this.#nextAttemptMs = null;
    try {
      // Another gateway may have ordered it meanwhile.
      const now = await this.#stored();
      if (now !== null && now.serialNumber !== current?.serialNumber) return 0;
      return pauseAfter(await this.#order(current));
    } finally {
      await release();
    }
  }

  async #order(current: X509Certificate | null): Promise<Validity> {
    const { clock, challenges } = this.#services;
    const started = clock.now();
    const client = await this.#openClient();
    const preferred = rotated(this.settings.challenges, this.#failures);
    const { signal } = this.#stopping;
    const options = {
      domains: this.settings.domains,
      challenges: preferred,
      present: (challenge: Parameters<Challenges['present']>[0]) => challenges.present(challenge, this.#storage),
      replaces: current === null ? null : await this.#renewalInfo.identify(client, current),
      clock,
      signal,
    };
    const pem = await this.#withAccount(client, () => order(client, options));
    await this.#storage.keepCertificate(this.settings.file, pem);
    this.#failures = 0;
    const validity = validityOf(new X509Certificate(pem));
    this.#notAfterMs = validity.to;
    this.#lastError = null;
    this.#nextAttemptMs = renewalTime(validity);
    this.#tell({ result: 'issued', notAfterMs: validity.to }, started);
    return validity;
  }

  /** Registers an account if there is none, and again if the authority no longer knows it. */
  async #withAccount<T>(client: AcmeClient, work: () => Promise<T>): Promise<T> {
    const { email, eab } = this.settings;
    const register = async (): Promise<void> => {
      const url = await client.register({ email, eab });
      await this.#storage.keepAccount({ url, email });
    };
    const account = await this.#storage.account();
    if (account === null) await register();
    else client.use(account.url);
    try {
      if (account !== null && account.email !== email) {
        await client.changeContact(email);
        await this.#storage.keepAccount({ url: account.url, email });
      }
      return await work();
    } catch (error) {
      if (account === null || !(error instanceof AcmeError) || error.type !== 'accountDoesNotExist') throw error;
      await register();
      return await work();
    }
  }

  async #openClient(): Promise<AcmeClient> {
    const { directory, ca: file } = this.settings;
    const { clock, version } = this.#services;
    const ca = file === null ? null : await readOrNull(file);
    if (file !== null && ca === null) throw new AcmeError('storage', `there is no file ${file}`);
    const transport = openTransport({ ca, version, signal: this.#stopping.signal });
    return new AcmeClient(directory, await this.#storage.accountKey(), { transport, now: clock.now });
  }

  /** When to renew: with a third of its lifetime left, or when the authority says. */
  async #dueAt(current: X509Certificate): Promise<number> {
    const own = renewalTime(validityOf(current));
    if (own <= this.#services.clock.now()) return own;
    return (await this.#renewalInfo.dueAt(current, () => this.#openClient())) ?? own;
  }

  /** The certificate in the file; null: there is none that fits the settings. */
  async #stored(): Promise<X509Certificate | null> {
    const pem = await readOrNull(this.settings.file);
    if (pem === null) return null;
    try {
      const leaf = new X509Certificate(pem);
      const fits = this.settings.domains.every((domain) => leaf.checkHost(domain) !== undefined);
      return fits && leaf.checkPrivateKey(createPrivateKey(pem)) ? leaf : null;
    } catch {
      return null;
    }
  }

  #tell(
    end: {
      readonly result: 'issued' | 'failed';
      readonly reason?: string;
      readonly detail?: string;
      readonly retryInMs?: number;
      readonly notAfterMs?: number;
    },
    started: number,
  ): void {
    const { reason = null, detail = null, retryInMs = null, notAfterMs = null, result } = end;
    this.#services.emit({
      type: 'certificate_ordered',
      names: this.settings.domains,
      authority: this.#authority,
      ...{ result, reason, detail, notAfterMs, retryInMs },
      durationMs: this.#services.clock.now() - started,
    });
  }
}

/** The list, rotated: after a failure the other type of challenge is tried. */
function rotated<T>(list: readonly T[], by: number): T[] {
  const at = by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}
