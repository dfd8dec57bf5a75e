import { join } from "node:path";

/** Where everything of one app lies below the data directory. Pure: nothing is made or looked at. */
export function appLayout(data: string, app: string) {
  const home = join(data, "apps", app);
  const releases = join(home, "releases");
  const venvs = join(home, "venvs");
  const run = join(home, "run");
  const launches = join(home, "launch");
  const ports = join(home, "ports");
  const logs = join(home, "logs");
  const release = (id: string) => join(releases, id);
  return {
    home,
    releases,
    release,
    /** Where a release is while it is unpacked; the dot keeps it apart from every release id. */
    partial: (id: string) => join(releases, `.${id}.partial`),
    manifest: (id: string) => join(release(id), "manifest.json"),
    /** The configuration alone: read at every turn, where a manifest of many files takes long to check. */
    config: (id: string) => join(release(id), "config.json"),
    app: (id: string) => join(release(id), "app"),
    static: (id: string) => join(release(id), "static"),
    wheels: (id: string) => join(release(id), "wheels"),
    /** The release's link to its environment. */
    releaseVenv: (id: string) => join(release(id), "venv"),
    venvs,
    venv: (key: string) => join(venvs, key),
    run,
    /** The sockets of one run, and whatever else the app's user puts there. */
    runDir: (runId: string) => join(run, runId),
    /** The launch files of one run, in directories that are nobody else's to change. */
    launches,
    launchDir: (runId: string) => join(launches, runId),
    /** The ports that runs have; not below run/, which is the app user's. */
    ports,
    runPorts: (runId: string) => join(ports, `${runId}.json`),
    /** A symlink to a release, for nginx to find its static files by. */
    published: (link: "current" | "canary" | "previous" | "staged") => join(home, link),
    /** What must outlive releases, such as uploads. */
    shared: join(home, "shared"),
    /** What nginx looks at to know whether the site is closed for maintenance. */
    maintenance: join(home, "maintenance"),
    state: join(home, "state.json"),
    logs,
    allRunLogs: join(logs, "runs"),
    runLogs: (runId: string) => join(logs, "runs", runId),
    /** Files of events, one for each deployment. */
    deployments: join(logs, "deployments"),
  };
}

export type AppLayout = ReturnType<typeof appLayout>;
