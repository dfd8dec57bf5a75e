import { createPrivateKey, X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { tlsPaths, unitKeys } from "../../host/net/tls-files.ts";
import { readPlainFile } from "../../host/ownership/owner-file.ts";
import type { AgentSettings } from "../../settings.ts";
import { type Directive, find } from "../nginx-config.ts";
import type { AppFacts, CertificateFacts } from "./facts.ts";
import { entryOf } from "./paths.ts";

interface Named {
  named: string;
  certificate: string;
  key: string | undefined;
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
  const seen = named.filter(
    ({ certificate }, index) => named.findIndex((other) => other.certificate === certificate) === index,
  );
  return Promise.all(seen.map(look));
}

/** systemd's copies of credentials are there only while the agent runs: without them it is about what will be copied. */
function ofAgent(tls: NonNullable<AgentSettings["tls"]>): Named {
  const { certificate, key } = tlsPaths(tls);
  const found = (name: string, path: string) =>
    name.startsWith("keys_") && !existsSync(path) ? join(unitKeys, name.slice("keys_".length)) : path;
  return { named: "tls in agent.yml", certificate: found(tls.certificate, certificate), key: found(tls.key, key) };
}

function ofApp({ app, settings }: AppFacts): Named[] {
  const tls = settings?.tls;
  return tls === undefined || tls === "auto" ? [] : [{ named: `tls in apps/${app}.yml`, ...tls }];
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

async function look({ named, certificate, key }: Named): Promise<CertificateFacts> {
  const facts = { named, certificate, key, keyEntry: key === undefined ? undefined : await entryOf(key) };
  try {
    const parsed = new X509Certificate(await readPlainFile(certificate));
    const expires = Date.parse(parsed.validTo);
    if (key === undefined) return { ...facts, expires, problem: undefined };
    const matches = parsed.checkPrivateKey(createPrivateKey(await readPlainFile(key)));
    return { ...facts, expires, problem: matches ? undefined : `${key} is not the key of ${certificate}` };
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException;
    const file = code !== undefined && path !== undefined;
    const problem = file ? `${path} cannot be read: ${code}` : `${certificate} or its key is not a valid PEM file`;
    return { ...facts, expires: undefined, problem };
  }
}
