import type { z } from "zod";
import type { appSettingsSchema } from "../settings.ts";

export type AppFile = z.input<typeof appSettingsSchema>;

/** The text of a new apps/<app>.yml, with a reason beside each line. Values are written as JSON strings, which YAML reads. */
export function renderAppFile(app: string, { user, trust = [], listen, domains, ports }: AppFile): string {
  const quoted = (values: (string | number)[]) => `[${values.map((value) => JSON.stringify(value)).join(", ")}]`;
  const keys = trust.flatMap(({ key, comment }) => [
    `  - key: ${JSON.stringify(key)}`,
    ...(comment === undefined ? [] : [`    comment: ${JSON.stringify(comment)}`]),
    "    # allow: [deploy, activate, redeploy, rollback, abort, read]   # everything, unless it stands here",
  ]);
  const lines = [
    `# What this host allows the app ${app}. Read anew at each call: an edit needs no restart.`,
    "",
    "# The user that the app's processes, build steps and release command run as.",
    user === undefined ? `# user: ${app}` : `user: ${JSON.stringify(user)}`,
    "",
    "# The keys whose tokens may deploy it: public lines of `cutover keygen`.",
    ...(keys.length === 0 ? ["trust: []"] : ["trust:", ...keys]),
    "",
    "# The addresses that its site may listen on.",
    listen === undefined ? "# listen: [80]" : `listen: ${quoted(listen)}`,
    "",
    "# The domains that it may serve. Without any it may be the default server of its addresses.",
    domains === undefined ? '# domains: ["shop.example.com", "*.shop.example.com"]' : `domains: ${quoted(domains)}`,
    "",
    "# Ports of 127.0.0.1 for its instances, where its cutover.yml says `bind: port`.",
    ports === undefined
      ? '# ports: "9000-9099"'
      : `ports: ${typeof ports === "string" ? JSON.stringify(ports) : quoted(ports)}`,
    "",
    `# NAME=value lines, such as passwords, above the environment of cutover.yml. This file if not given: ${app}.env`,
    `# env_file: ${app}.env`,
  ];
  return `${lines.join("\n")}\n`;
}
