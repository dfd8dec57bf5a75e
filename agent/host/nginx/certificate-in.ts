import { constants } from "node:fs";
import { access } from "node:fs/promises";
import type { TlsFiles } from "../../settings-values.ts";

/**
 * The certificate that a site has by its present text, if its files are still there. A site that had another client's
 * certificate keeps it until the agent has got one: its visitors must not lose https.
 */
export async function certificateIn(text = ""): Promise<TlsFiles | undefined> {
  const [certificate, key] = ["ssl_certificate", "ssl_certificate_key"].map(
    (name) => new RegExp(`^ *${name} "([^"]+)";`, "m").exec(text)?.[1],
  );
  if (certificate === undefined || key === undefined) return undefined;
  const readable = await Promise.all([certificate, key].map((path) => access(path, constants.R_OK))).catch(() => false);
  return readable === false ? undefined : { certificate, key };
}
