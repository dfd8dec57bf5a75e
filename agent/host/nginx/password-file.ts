import { access } from "node:fs/promises";
import { CutoverError } from "../../../shared/errors.ts";
import type { AppSettings } from "../../settings.ts";

/** nginx answers 403 to everybody without it. @throws CutoverError host_settings_invalid */
export async function checkPasswords({ app, file, access: asked }: AppSettings): Promise<void> {
  const path = asked?.password_file;
  if (
    path === undefined ||
    (await access(path)
      .then(() => true)
      .catch(() => false))
  )
    return;
  throw new CutoverError("host_settings_invalid", `The password file of ${app} does not exist: ${path}`, {
    unchanged: "Nothing was unpacked; the live release goes on serving.",
    fix: `Make it on the host, such as with \`htpasswd -c ${path} NAME\`, or correct access.password_file in ${file}.`,
  });
}
