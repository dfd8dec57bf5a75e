import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { CutoverError } from "../../../shared/errors.ts";
import type { AppSettings } from "../../settings.ts";

/** nginx's master reads them, as the same user as this process. @throws CutoverError certificate_missing */
export async function checkCertificate({ app, file, tls }: AppSettings): Promise<void> {
  if (tls === "auto") return;
  for (const [key, path] of Object.entries(tls ?? {})) {
    try {
      await access(path, constants.R_OK);
    } catch (cause) {
      const reason = (cause as NodeJS.ErrnoException).code === "ENOENT" ? "does not exist" : "cannot be read";
      throw new CutoverError("certificate_missing", `The ${key} of ${app} ${reason}: ${path}`, {
        unchanged: "Nothing was unpacked; the live release goes on serving.",
        fix: `Put the file there, or correct it in ${file} on the host: tls: { certificate: FILE, key: FILE }`,
        cause,
      });
    }
  }
}
