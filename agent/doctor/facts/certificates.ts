import { createPrivateKey, X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../../../shared/config.ts";
import { tlsPaths, unitKeys } from "../../host/net/tls-files.ts";
import { readPlainFile } from "../../host/ownership/owner-file.ts";
import { certifiedNames, isSecure, servedSite } from "../../host-policy.ts";
import type { AgentSettings, AppSettings } from "../../settings.ts";
import { type Directive, find } from "../nginx-config.ts";
import type { AppFacts, CertificateFacts } from "./facts.ts";
import { entryOf } from "./paths.ts";

interface Named {
  named: string;
  certificate: string;
  key: string | undefined;
  /** What a site needs it for. */
  names?: string[];
}

export async function certificateFacts(
  settings: AgentSettings,
  apps: AppFacts[],
  configuration: Directive[],
): Promise<CertificateFacts[]> {
  const named: Named[] = [
    ...(settings.tls === undefined ? [] : [ofAgent(settings.tls)]),
    ...apps.flatMap(ofApp),
    ...configuration.flatMap(ofNginx),
  ];
  // Several sites may share one, which must then have the names of all.
  const seen = [...Map.groupBy(named, ({ certificate }) => certificate).values()].map((same) => ({
    ...(same[0] as Named),
    names: [...new Set(same.flatMap(({ names = [] }) => names))],
  }));
  return Promise.all(seen.map(look));
}

/** systemd's copies of credentials are there only while the agent runs: without them it is about what will be copied. */
function ofAgent(tls: NonNullable<AgentSettings["tls"]>): Named {
  const { certificate, key } = tlsPaths(tls);
  const found = (name: string, path: string) =>
    name.startsWith("keys_") && !existsSync(path) ? join(unitKeys, name.slice("keys_".length)) : path;
  return { named: "tls in agent.yml", certificate: found(tls.certificate, certificate), key: found(tls.key, key) };
}

function ofApp({ app, settings, live }: AppFacts): Named[] {
  if (settings?.tls === undefined || settings.tls === "auto") return [];
  return [{ named: `tls in apps/${app}.yml`, ...settings.tls, names: namesOf(settings, live) }];
}

/** The site's own, and those that it sends on. Without a release nobody knows which of the host's domains it will have. */
function namesOf(settings: AppSettings, live: Config | undefined): string[] {
  try {
    const secure = live !== undefined && servedSite(live, settings).listen.some(isSecure);
    return secure ? certifiedNames(live, settings) : [];
  } catch {
    // A peer that the host no longer allows.
    return [];
  }
}

/** Certificates of nginx's server blocks, also of sites that cutover does not write, since visitors use those too. */
function ofNginx(block: Directive): Named[] {
  return find([block], "server").flatMap(({ directive }) => {
    const values = (name: string) => (directive.block ?? []).filter((one) => one.name === name);
    const keys = values("ssl_certificate_key");
    return values("ssl_certificate").flatMap(({ args, file, line }, index) => {
      const [certificate = ""] = args;
      const fixed = certificate.startsWith("/") && !certificate.includes("$");
      return fixed ? [{ named: `ssl_certificate in ${file}:${line}`, certificate, key: keys[index]?.args[0] }] : [];
    });
  });
}

async function look({ named, certificate, key, names = [] }: Named): Promise<CertificateFacts> {
  const facts = { named, certificate, key, keyEntry: key === undefined ? undefined : await entryOf(key) };
  try {
    const parsed = new X509Certificate(await readPlainFile(certificate));
    const expires = Date.parse(parsed.validTo);
    const missing = names.filter((name) => parsed.checkHost(name.replace(/^\*/, "any")) === undefined);
    if (key === undefined) return { ...facts, expires, missing, problem: undefined };
    const matches = parsed.checkPrivateKey(createPrivateKey(await readPlainFile(key)));
    return { ...facts, expires, missing, problem: matches ? undefined : `${key} is not the key of ${certificate}` };
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException;
    const file = code !== undefined && path !== undefined;
    const problem = file ? `${path} cannot be read: ${code}` : `${certificate} or its key is not a valid PEM file`;
    return { ...facts, expires: undefined, problem };
  }
}
