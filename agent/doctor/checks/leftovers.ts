import { join } from "node:path";
import { appName, runId } from "../../../shared/names.ts";
import type { HostFacts } from "../facts/facts.ts";
import { type Finding, warning } from "../finding.ts";

/** Files of cutover for apps that the host does not have: somebody removed the settings and not the app. */
export function leftovers({ apps, nginx, supervisor, settings }: HostFacts): Finding[] {
  const known = new Set(apps.map(({ app }) => app));
  const stray = [
    ...(nginx.files ?? []).map((name) => ({ name, directory: settings.nginx.conf_dir, app: appOfSite(name) })),
    ...(supervisor.files ?? []).map((name) => ({
      name,
      directory: settings.supervisor.conf_dir,
      app: appOfPrograms(name),
    })),
  ].filter(({ app }) => app !== undefined && !known.has(app));
  return stray.map(({ name, directory, app }) =>
    warning("leftovers", {
      what: `${join(directory, name)} belongs to ${app}, an app that this host does not have.`,
      why: "The programs or the site of this file go on, and no deploy replaces them.",
      fix: `Add the app again (\`cutover app add ${app}\`) and remove it completely with \`cutover app remove ${app}\`; or remove the file and reload.`,
    }),
  );
}

function appOfSite(file: string): string | undefined {
  return named(/^cutover-([a-z0-9-]+)(?:\.[a-z]+)?\.conf$/.exec(file)?.[1]);
}

/** After the app's name comes the run, which has capitals (an app has none), then perhaps a plus and a process. */
function appOfPrograms(file: string): string | undefined {
  const [, app, run] = /^cutover-([a-z0-9-]+?)-(\d{8}T[^+]*)(?:\+[a-z0-9-]+)?\.conf$/.exec(file) ?? [];
  return runId.safeParse(run).success ? named(app) : undefined;
}

function named(app: string | undefined): string | undefined {
  return appName.safeParse(app).success ? app : undefined;
}
