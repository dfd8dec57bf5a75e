import { asCutoverError, CutoverError } from "../../shared/errors.ts";
import type { CertificateView } from "../../shared/protocol.ts";
import { SerialQueue } from "../../shared/serial-queue.ts";
import {
  type CertificateAuthority,
  type CertificateFailure,
  type CertificateRecords,
  type OrderRefusal,
  type SiteRecord,
  type Sites,
  siteRecord,
} from "../contracts/certificates.ts";
import type { Clock, Ports } from "../contracts/ports.ts";
import type { Privileged } from "../contracts/privileged.ts";
import type { CertificateService } from "../contracts/service.ts";
import type { Logger } from "../logger.ts";
import { orderTime, pauseAfter, readCertificate, type SiteCertificate } from "./schedule.ts";
import { iso, type Site, siteOf, viewOf, type Waiting } from "./site.ts";

/** How often each site is looked at. It costs a question to the helper for each app with `tls: auto`. */
const lookMs = 60_000;
/** After an authority has not said when to renew. */
const silenceMs = 6 * 3_600_000;
/** From here on each failed renewal is told to webhooks. */
const urgentMs = 7 * 24 * 3_600_000;

interface Parts {
  apps: Ports["apps"];
  privileged: Pick<Privileged, "certificateRequest" | "installCertificate" | "certificate">;
  sites: Sites;
  authority: CertificateAuthority;
  records: CertificateRecords;
  clock: Clock;
  log: Logger;
  /** Called with what the site has from now on, and at the start. */
  onCertificate(app: string, expires: number): void;
  onOrder(app: string, result: "issued" | "failed"): void;
  /** Called for a failure that a person should know of. */
  onFailure(failure: CertificateFailure): void;
  /** Between two looks. */
  everyMs?: number;
  /** From 0 to 1, as Math.random(). */
  random?: () => number;
}

/**
 * Gets the certificates of sites with `tls: auto`, and renews them. One order at a time. Each look starts from what is on the
 * host, so a kill in the middle costs an order at most, and an edit of a file needs no restart.
 */
export class CertificateManager implements CertificateService {
  readonly #parts: Parts;
  readonly #queue = new SerialQueue();
  readonly #closing = new AbortController();
  /** Sites whose text was written since the last change that this process knows of. */
  readonly #served = new Set<string>();
  readonly #chains = new Map<string, string>();
  /** When an authority is asked again that has said nothing of renewals. */
  readonly #silentUntil = new Map<string, number>();
  #cancel: () => void = () => undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Looks at all sites now, and again and again. */
  start(): void {
    const again = () => {
      this.#cancel = this.#parts.clock.after(this.#parts.everyMs ?? lookMs, () => {
        void this.#lookAtAll().finally(() => !this.#closing.signal.aborted && again());
      });
    };
    void this.#lookAtAll().finally(() => !this.#closing.signal.aborted && again());
  }

  /** Looks at a site soon, for example since its first deployment has ended. */
  wake(app: string): void {
    void this.#look(app).catch((err: unknown) => this.#parts.log.warn({ err, app }, "a certificate was not looked at"));
  }

  /** Gives up what runs: the next start begins from what is on the host. */
  close(): void {
    this.#closing.abort(new Error("the agent stops"));
    this.#cancel();
  }

  /** Of each site with `tls: auto`. */
  async views(): Promise<CertificateView[]> {
    const views: CertificateView[] = [];
    for (const app of await this.#autoApps()) views.push(await this.#view(app));
    return views;
  }

  /** Orders a certificate now, whatever the schedule says. @throws CutoverError certificate_failed, host_settings_invalid, nothing_live */
  async renew(app: string): Promise<CertificateView> {
    const settings = await this.#parts.apps.settings(app);
    if (settings.tls !== "auto") {
      throw new CutoverError("host_settings_invalid", `${settings.file} does not say \`tls: auto\`.`, {
        unchanged: "Nothing was changed.",
        fix: `Write \`tls: auto\` into ${settings.file}, or renew the certificate with the client that got it.`,
      });
    }
    await this.#look(app, true);
    const view = await this.#view(app);
    if (view.waits !== undefined) throw notYet(app, view.waits);
    if (view.failed === undefined) return view;
    throw new CutoverError("certificate_failed", view.failed.reason, {
      unchanged: "The site keeps the certificate that it has.",
      fix: "Correct the cause, then run `cutover tls renew` again. The agent also tries again by itself.",
    });
  }

  async #lookAtAll(): Promise<void> {
    const apps = await this.#autoApps().catch(() => []);
    for (const app of apps) {
      if (this.#closing.signal.aborted) return;
      await this.#look(app).catch((err: unknown) =>
        this.#parts.log.warn({ err, app }, "a certificate was not looked at"),
      );
    }
  }

  async #autoApps(): Promise<string[]> {
    const { apps } = this.#parts;
    const found: string[] = [];
    for (const app of await apps.names()) {
      const settings = await apps.settings(app).catch(() => undefined);
      if (settings?.tls === "auto") found.push(app);
      else this.#served.delete(app);
    }
    return found;
  }

  #look(app: string, now = false): Promise<void> {
    return this.#queue.run(async () => {
      if (this.#closing.signal.aborted) return;
      const site = await this.#site(app);
      if ("waits" in site) {
        this.#chains.delete(app);
        return;
      }
      // First, since a site whose file has just got `tls: auto` has no answers to challenges yet.
      if (!(await this.#refresh(app))) return;
      const certificate = await this.#certificate(app);
      if (certificate !== undefined) this.#parts.onCertificate(app, certificate.expires);
      const record = await this.#askWindow(app, certificate, await this.#record(app));
      if (now || this.#parts.clock.now() >= orderTime(certificate, site.names, record)) {
        await this.#order(site, certificate, record);
      }
    });
  }

  async #site(app: string): Promise<Site | Waiting> {
    return siteOf(await this.#parts.apps.settings(app), await this.#parts.sites.liveConfig(app));
  }

  /** Asked once: nobody else changes it, and each question may start a helper. */
  async #chain(app: string): Promise<string | undefined> {
    const chain = this.#chains.get(app) ?? (await this.#parts.privileged.certificate(app));
    if (chain !== undefined) this.#chains.set(app, chain);
    return chain;
  }

  async #certificate(app: string): Promise<SiteCertificate | undefined> {
    const chain = await this.#chain(app);
    return chain === undefined ? undefined : readCertificate(chain);
  }

  async #record(app: string): Promise<SiteRecord> {
    const found = siteRecord.safeParse((await this.#parts.records.load(app)) ?? {});
    return found.data ?? siteRecord.parse({});
  }

  /** @returns whether the site is as its file and its certificate say */
  async #refresh(app: string): Promise<boolean> {
    if (this.#served.has(app)) return true;
    try {
      await this.#parts.sites.refreshSite(app);
      this.#served.add(app);
      return true;
    } catch (thrown) {
      const { code, message } = asCutoverError(thrown);
      // The deployment's end wakes this again.
      const level = code === "deployment_in_progress" ? "debug" : "warn";
      this.#parts.log[level]({ app, code, reason: message }, "the site does not have its new certificate yet");
      return false;
    }
  }

  /** The authority may want a renewal earlier, for example before it revokes the certificate. */
  async #askWindow(app: string, certificate: SiteCertificate | undefined, record: SiteRecord): Promise<SiteRecord> {
    const { authority, clock, records, random = Math.random } = this.#parts;
    const now = clock.now();
    const chain = await this.#chain(app);
    if (certificate === undefined || chain === undefined) return record;
    const window = record.window?.serial === certificate.serial ? record.window : undefined;
    if (now < Math.max(window?.askAgain ?? 0, this.#silentUntil.get(app) ?? 0)) return record;
    const said = await authority.renewalWindow(chain, this.#closing.signal);
    if (said === undefined) {
      this.#silentUntil.set(app, now + silenceMs);
      return record;
    }
    const { start, end, askAgainMs } = said;
    const known = window?.renews ?? Number.NaN;
    // The moment stays while it is in the window: a new one at each answer would come earlier and earlier.
    const renews = known >= start && known <= end ? known : start + (end - start) * random();
    const next = { ...record, window: { serial: certificate.serial, renews, askAgain: now + askAgainMs } };
    await records.save(app, next);
    return next;
  }

  async #order(site: Site, certificate: SiteCertificate | undefined, record: SiteRecord): Promise<void> {
    const { log, onOrder } = this.#parts;
    log.info(site, certificate === undefined ? "a certificate is ordered" : "a certificate is renewed");
    const failure = await this.#issue(site).catch(
      (thrown: unknown): OrderRefusal => ({
        reason: asCutoverError(thrown).message,
      }),
    );
    // Nothing failed: the agent stops.
    if (failure !== undefined && this.#closing.signal.aborted) return;
    onOrder(site.app, failure === undefined ? "issued" : "failed");
    if (failure === undefined) await this.#issued(site);
    else await this.#failed(site, failure, certificate, record);
  }

  /** @returns why there is none */
  async #issue({ app, names }: Site): Promise<OrderRefusal | undefined> {
    const { privileged, authority, clock } = this.#parts;
    const replaces = await this.#chain(app);
    const request = await privileged.certificateRequest(app, names);
    const result = await authority.order({ names, request, replaces }, this.#closing.signal);
    if (result.kind === "refused") return result;
    // One that would be ordered again at once must not come every minute.
    const { expires, ...got } = readCertificate(result.chain);
    if (orderTime({ expires, ...got }, names, siteRecord.parse({})) <= clock.now()) {
      return { reason: `The certificate that came is for ${got.names.join(", ")}, until ${iso(expires)}.` };
    }
    await privileged.installCertificate(app, result.chain);
    this.#chains.delete(app);
    this.#silentUntil.delete(app);
    return undefined;
  }

  async #issued({ app, names }: Site): Promise<void> {
    const { records, log, onCertificate } = this.#parts;
    await records.save(app, siteRecord.parse({}));
    const certificate = await this.#certificate(app);
    log.info({ app, names, expires: certificate && iso(certificate.expires) }, "a certificate came");
    if (certificate !== undefined) onCertificate(app, certificate.expires);
    this.#served.delete(app);
    await this.#refresh(app);
  }

  async #failed(
    { app, names }: Site,
    { reason, retryAfterMs }: OrderRefusal,
    certificate: SiteCertificate | undefined,
    record: SiteRecord,
  ): Promise<void> {
    const { records, log, clock, random, onFailure } = this.#parts;
    const now = clock.now();
    const failures = record.failures + 1;
    const notBefore = now + pauseAfter(failures, retryAfterMs, random?.());
    await records.save(app, { ...record, failures, failed: { at: now, reason }, notBefore });
    log.warn({ app, names, failures, reason, next: iso(notBefore) }, "no certificate came");
    const isUrgent = certificate !== undefined && certificate.expires - now < urgentMs;
    if (failures > 1 && !isUrgent) return;
    onFailure({ app, names, reason, failures, expires: certificate && iso(certificate.expires) });
  }

  async #view(app: string): Promise<CertificateView> {
    const site = await this.#site(app).catch((thrown: unknown) => ({ app, waits: asCutoverError(thrown).message }));
    if ("waits" in site) return { app, names: [], failures: 0, waits: site.waits };
    const record = await this.#record(app);
    return viewOf(site, record, {
      certificate: await this.#certificate(app),
      served: this.#served.has(app),
      now: this.#parts.clock.now(),
    });
  }
}

function notYet(app: string, waits: string): CutoverError {
  return new CutoverError("certificate_failed", `${app} gets no certificate yet: it waits for ${waits}.`, {
    unchanged: "Nothing was changed.",
    fix: "See `cutover tls status`.",
  });
}
