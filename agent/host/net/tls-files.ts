import { X509Certificate } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { createSecureContext } from "node:tls";
import { CutoverError } from "../../../shared/errors.ts";
import type { AgentSettings } from "../../settings.ts";

/** A certificate and its key, as PEM texts. */
export interface TlsPair {
  certificate: string;
  key: string;
}

type TlsSettings = NonNullable<AgentSettings["tls"]>;

/** Where systemd puts the credentials of the agent's unit, as seen from outside of the unit. */
export const unitCredentials = "/run/credentials/cutover-agent.service";

/** The files that systemd copies there, with `keys_` before their names. */
export const unitKeys = "/etc/cutover/credentials";

/** The paths of the two files. A name without a leading slash is a credential that systemd gave to the unit. */
export function tlsPaths(tls: TlsSettings, credentials = unitCredentials): TlsSettings {
  const path = (name: string) => (name.startsWith("/") ? name : join(credentials, name));
  return { certificate: path(tls.certificate), key: path(tls.key) };
}

/** @throws CutoverError host_settings_invalid if a file cannot be read, or the key is not the certificate's */
export async function readTlsPair(paths: TlsSettings): Promise<TlsPair> {
  const [certificate, key] = await Promise.all([readPem(paths.certificate), readPem(paths.key)]);
  try {
    createSecureContext({ cert: certificate, key });
    new X509Certificate(certificate);
  } catch (cause) {
    throw refusal("The TLS certificate and key of agent.yml do not work together.", cause);
  }
  return { certificate, key };
}

async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw refusal(`A TLS file of agent.yml cannot be read: ${(cause as Error).message}.`, cause);
  }
}

function refusal(message: string, cause: unknown): CutoverError {
  return new CutoverError("host_settings_invalid", message, {
    unchanged: "The agent did not start; the sites go on serving.",
    fix:
      "Correct tls.certificate and tls.key in agent.yml: absolute paths of PEM files, or names of credentials of the unit " +
      "(LoadCredential=). The key must be the certificate's own, without a passphrase.",
    cause,
  });
}

export interface TlsWatch {
  paths: TlsSettings;
  /** Called with a new pair, and when the pair can be used again. */
  renewed(pair: TlsPair): void;
  /** Called if the new files cannot be used, so that the old pair stays. Once for each reason. */
  broken(error: CutoverError): void;
  /** The time between two looks, in milliseconds. */
  everyMs: number;
}

/**
 * Looks regularly whether the files changed. It compares their status, because an ACME client may write into them, rename
 * others over them, or move a symlink on the way to them, and no watch of a directory sees all of that.
 */
export function watchTlsFiles(first: TlsPair, { paths, renewed, broken, everyMs }: TlsWatch): Disposable {
  let used = first;
  let seen = "";
  let told = "";
  let busy = false;
  const look = async () => {
    const stamp = await stampOf(paths);
    if (stamp === seen && told === "") return;
    seen = stamp;
    try {
      const pair = await readTlsPair(paths);
      const wasBroken = told !== "";
      told = "";
      if (!wasBroken && pair.certificate === used.certificate && pair.key === used.key) return;
      used = pair;
      renewed(pair);
    } catch (thrown) {
      if (!(thrown instanceof CutoverError)) throw thrown;
      if (told !== thrown.message) broken(thrown);
      told = thrown.message;
    }
  };
  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    void look().finally(() => {
      busy = false;
    });
  }, everyMs).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

async function stampOf({ certificate, key }: TlsSettings): Promise<string> {
  const stamps = [certificate, key].map(async (path) => {
    const status = await stat(path, { bigint: true }).catch(() => undefined);
    return status === undefined
      ? "absent"
      : `${status.dev} ${status.ino} ${status.size} ${status.mtimeNs} ${status.ctimeNs}`;
  });
  return (await Promise.all(stamps)).join();
}
