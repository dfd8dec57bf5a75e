import type { Config } from "../../shared/config.ts";
import type { CertificateView } from "../../shared/protocol.ts";
import type { SiteRecord } from "../contracts/certificates.ts";
import { certifiedNames, isSecure, servedSite } from "../host-policy.ts";
import type { AppSettings } from "../settings.ts";
import { orderTime, renewalTime, type SiteCertificate } from "./schedule.ts";

/** A site that is to have a certificate for these names. */
export interface Site {
  app: string;
  names: string[];
}

/** It gets none yet, and why. */
export interface Waiting {
  app: string;
  waits: string;
}

/** @param config of the live release; undefined before the first deploy */
export function siteOf(settings: AppSettings, config: Config | undefined): Site | Waiting {
  const { app, tls } = settings;
  if (tls !== "auto") return { app, waits: "`tls: auto` in its file" };
  if (config === undefined) return { app, waits: "its first deploy" };
  if (config.site === "none") return { app, waits: "a site of cutover's: cutover.yml says `site: none`" };
  const { listen } = servedSite(config, settings);
  if (!listen.some(isSecure)) return { app, waits: 'an address with ssl, such as "443 ssl" in `listen`' };
  return { app, names: certifiedNames(config, settings) };
}

interface Known {
  certificate: SiteCertificate | undefined;
  served: boolean;
  now: number;
}

export function viewOf({ app, names }: Site, record: SiteRecord, { certificate, served, now }: Known): CertificateView {
  const { failures, failed } = record;
  return {
    app,
    names,
    failures,
    ...(certificate !== undefined && {
      certificate: {
        names: certificate.names,
        issuer: certificate.issuer,
        begins: iso(certificate.begins),
        expires: iso(certificate.expires),
        served,
      },
      renews: iso(renewalTime(certificate, record)),
    }),
    ...(failed !== undefined && { failed: { at: iso(failed.at), reason: failed.reason } }),
    next: iso(Math.max(orderTime(certificate, names, record), now)),
  };
}

export function iso(time: number): string {
  return new Date(time).toISOString();
}
