import { X509Certificate } from "node:crypto";
import type { SiteRecord } from "../contracts/certificates.ts";

/** When a certificate is asked for. Pure: all times are milliseconds since the epoch. */

const minute = 60_000;
const hour = 60 * minute;

export interface SiteCertificate {
  names: string[];
  serial: string;
  issuer: string;
  begins: number;
  expires: number;
}

/** @param chain PEM, the leaf first */
export function readCertificate(chain: string): SiteCertificate {
  const { subjectAltName = "", serialNumber, issuer, validFrom, validTo } = new X509Certificate(chain);
  return {
    names: [...subjectAltName.matchAll(/DNS:([^,\s]+)/g)].map(([, name = ""]) => name),
    serial: serialNumber,
    issuer: /^O=(.+)$/m.exec(issuer)?.[1] ?? /^CN=(.+)$/m.exec(issuer)?.[1] ?? "",
    begins: Date.parse(validFrom),
    expires: Date.parse(validTo),
  };
}

export function covers({ names }: SiteCertificate, wanted: string[]): boolean {
  return wanted.every((name) => names.includes(name));
}

/** When it is to be renewed: at the authority's word, otherwise after two thirds of its life; but always before its last tenth. */
export function renewalTime({ serial, begins, expires }: SiteCertificate, { window }: SiteRecord): number {
  const life = expires - begins;
  const planned = window?.serial === serial ? window.renews : begins + (life * 2) / 3;
  return Math.min(planned, expires - life / 10);
}

/** When the next order may be made: with a certificate for all names, when it is to be renewed; after a failure, not at once. */
export function orderTime(certificate: SiteCertificate | undefined, wanted: string[], record: SiteRecord): number {
  const due = certificate !== undefined && covers(certificate, wanted) ? renewalTime(certificate, record) : 0;
  return Math.max(due, record.notBefore);
}

/** The pauses after failures. An authority counts failed proofs: Let's Encrypt takes five an hour for a name. */
const pauses = [minute, 5 * minute, 15 * minute, hour, 3 * hour, 6 * hour, 12 * hour];

/**
 * @param failures how many orders have failed, this one included
 * @param retryAfterMs what the authority says
 * @param random from 0 to 1: hosts that fail together do not come back together
 */
export function pauseAfter(failures: number, retryAfterMs = 0, random = Math.random()): number {
  const pause = pauses[Math.min(failures, pauses.length) - 1] ?? minute;
  // A day at most, even if the authority says a year.
  return Math.min(Math.max(pause * (0.8 + 0.4 * random), retryAfterMs), 24 * hour);
}
