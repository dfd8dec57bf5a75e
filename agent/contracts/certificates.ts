import { z } from "zod";
import type { Config } from "../../shared/config.ts";

/** What getting certificates needs, and agent/host supplies. Not a part of Ports: deploy code knows no authority. */

export interface OrderRequest {
  names: string[];
  /** The signing request (PKCS #10, PEM). */
  request: string;
  /** The chain (PEM) of the certificate that this one replaces. */
  replaces?: string | undefined;
}

export type OrderResult = { kind: "issued"; chain: string } | ({ kind: "refused" } & OrderRefusal);

/** Why none came, partly in the authority's words. `retryAfterMs`: the authority says not to ask before. */
export interface OrderRefusal {
  reason: string;
  retryAfterMs?: number | undefined;
}

/** When the authority wants a certificate to be renewed (RFC 9773), in milliseconds since the epoch. */
export interface RenewalWindow {
  start: number;
  end: number;
  /** How long the answer counts, in milliseconds. */
  askAgainMs: number;
}

export interface CertificateAuthority {
  /** Proves the names by HTTP-01, and gets the certificate. Never throws. */
  order(request: OrderRequest, signal: AbortSignal): Promise<OrderResult>;
  /** undefined if the authority has no opinion, or does not say it now. Never throws. */
  renewalWindow(chain: string, signal: AbortSignal): Promise<RenewalWindow | undefined>;
}

/** What is remembered of an app's certificate, across restarts. Each key may be missing: another release wrote the file. */
export const siteRecord = z.object({
  /** Orders that failed since the last one that did not. */
  failures: z.int().min(0).default(0),
  failed: z.object({ at: z.number(), reason: z.string() }).optional(),
  /** No order before this time. */
  notBefore: z.number().default(0),
  /** The moment that was chosen in the authority's window, for this certificate, until when it counts. */
  window: z.object({ serial: z.string(), renews: z.number(), askAgain: z.number() }).optional(),
});
export type SiteRecord = z.output<typeof siteRecord>;

export interface CertificateRecords {
  /** undefined if there is none, or it cannot be read: then it is made again. */
  load(app: string): Promise<unknown>;
  save(app: string, record: object): Promise<void>;
}

/** What is asked of the deployments. */
export interface Sites {
  /** undefined before the first deploy. */
  liveConfig(app: string): Promise<Config | undefined>;
  /** Writes the live site's text again, if it changed. @throws CutoverError deployment_in_progress, nginx_* */
  refreshSite(app: string): Promise<void>;
}

/** A certificate that did not come. `expires`: of the one that the site has, in ISO 8601. */
export interface CertificateFailure {
  app: string;
  names: string[];
  reason: string;
  failures: number;
  expires?: string | undefined;
}
