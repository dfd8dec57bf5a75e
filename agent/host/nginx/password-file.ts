import { CutoverError } from "../../../shared/errors.ts";
import type { AppSettings } from "../../settings.ts";
import { whereOthersLead } from "../ownership/owner-file.ts";

/**
 * nginx answers 403 to everybody without the file. It opens it for each request, and waits if it is a pipe: a worker would serve
 * no site any more. So nobody but root may be able to put one there.
 * @throws CutoverError host_settings_invalid
 */
export async function checkPasswords({ app, file, user, access: asked }: AppSettings): Promise<void> {
  const path = asked?.password_file;
  if (path === undefined) return;
  // Without a user of its own, the app, nginx and this process are one.
  const owners = user === undefined ? [0, process.geteuid?.() ?? 0] : [0];
  const at = await whereOthersLead(path, owners).catch((thrown: NodeJS.ErrnoException) => {
    if (thrown instanceof CutoverError) throw thrown;
    throw refused(
      `The password file of ${app} does not exist: ${path}`,
      `Make it on the host, such as with \`htpasswd -c ${path} NAME\`, or correct access.password_file in ${file}.`,
    );
  });
  if (at === undefined) return;
  throw refused(
    `The password file of ${app} is not used, since others than root may change ${at}, and put a pipe at ${path} that stops nginx.`,
    `Move it to where only root may write, such as /etc/cutover/apps/${app}.htpasswd, and name it as access.password_file in ${file}.`,
  );
}

function refused(message: string, fix: string): CutoverError {
  const unchanged = "Nothing was unpacked; the live release goes on serving.";
  return new CutoverError("host_settings_invalid", message, { unchanged, fix });
}
