import { join } from "node:path";
import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding, mkdir } from "../finding.ts";
import { matchesGlob } from "../globs.ts";
import { find, includePath } from "../nginx-config.ts";

/** nginx reads the sites that cutover writes: its http block includes conf_dir. */
export function nginxInclude({ nginx, settings }: HostFacts): Finding[] {
  const { configuration, main, files } = nginx;
  const { conf_dir: directory } = settings.nginx;
  if (files === undefined) {
    return [
      error("nginx-include", {
        what: `${directory}, the directory for nginx's sites, does not exist or is not a directory.`,
        why: "The first deploy of an app writes its site there, so it fails.",
        fix: `Make it (\`mkdir -p ${directory}\`), or set nginx.conf_dir in agent.yml.`,
        ...mkdir(directory),
      }),
    ];
  }
  if (main === undefined || configuration.length === 0) return [];
  const site = join(directory, "cutover-app.conf");
  const read = find(configuration, "include").some(
    ({ directive, around }) =>
      around.join(" ") === "http" && matchesGlob(includePath(main, directive.args[0] ?? ""), site),
  );
  if (read) return [];
  return [
    error("nginx-include", {
      what: `${main} does not include ${directory}/*.conf in its http block.`,
      why: "nginx would never read the sites that cutover writes.",
      fix: `Put \`include ${directory}/*.conf;\` into the http block, or set nginx.conf_dir in agent.yml to a directory that the http block includes.`,
    }),
  ];
}
