import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";
import { described } from "../permissions.ts";

const day = 86_400_000;

const why = "Browsers and the Action refuse a certificate that is not valid, and nginx does not start without one.";

type Certificate = HostFacts["certificates"][number];

export function certificates({ certificates, now, settings }: HostFacts): Finding[] {
  const own = `${settings.data}/apps/`;
  return certificates.flatMap((one) => [
    ...unusable(one),
    ...expiring(one, now, own),
    ...openKey(one),
    ...lacking(one),
  ]);
}

function unusable({ problem, named }: Certificate): Finding[] {
  if (problem === undefined) return [];
  const fix = "Correct the path, or renew the certificate with its key.";
  return [error("certificates", { what: `${problem} (${named}).`, why, fix })];
}

/** @param own where the certificates of `tls: auto` are */
function expiring({ certificate, named, expires }: Certificate, now: number, own: string): Finding[] {
  const left = expires === undefined ? undefined : Math.floor((expires - now) / day);
  if (left === undefined || left >= 14) return [];
  const make = left < 0 ? error : warning;
  const when = left < 0 ? `expired ${-left} days ago` : `expires in ${left} days`;
  const fix = certificate.startsWith(own)
    ? "`cutover tls status` says why the agent did not renew it; `cutover tls renew` tries again now."
    : "Renew it now and reload nginx; the agent reads it by itself. Then find out why it was not renewed automatically (`certbot renew --dry-run`).";
  return [make("certificates", { what: `${certificate} ${when} (${named}).`, why, fix })];
}

function lacking({ certificate, named, missing = [] }: Certificate): Finding[] {
  if (missing.length === 0) return [];
  return [
    warning("certificates", {
      what: `${certificate} is not for ${missing.join(", ")} (${named}).`,
      why: "Browsers warn of a certificate that does not have the name, also where the site only sends that name on to another one.",
      fix: "Get one with all names of the site (`certbot certonly --expand` keeps its files), or write `tls: auto`: then the agent gets and renews one.",
    }),
  ];
}

function openKey({ key, keyEntry, named }: Certificate): Finding[] {
  if (key === undefined || keyEntry === undefined || (keyEntry.mode & 0o007) === 0) return [];
  return [
    error("certificates", {
      what: `${key} is a private key that every user may read or change (${described(keyEntry)}; ${named}).`,
      why: "Everybody who reads it can impersonate this host.",
      fix: `\`chmod o-rwx ${key}\`, and renew the certificate with a new key.`,
    }),
  ];
}
