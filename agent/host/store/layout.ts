import { join } from "node:path";

/** The paths of one app below the data directory. Pure: it touches no file. */
export function appLayout(data: string, app: string) {
  const home = join(data, "apps", app);
  const objects = join(home, "objects");
  const releases = join(home, "releases");
  const venvs = join(home, "venvs");
  const run = join(home, "run");
  const launches = join(home, "launch");
  const ports = join(home, "ports");
  const logs = join(home, "logs");
  const release = (id: string) => join(releases, id);
  return {
    home,
    /** The files of all releases, each once, by content. Only the agent may look into it. */
    objects,
    /** There while objects may exist that a power cut could take away. */
    unsynced: join(objects, ".unsynced"),
    releases,
    release,
    /** Where a release is while it is unpacked. No release id starts with a dot. */
    partial: (id: string) => join(releases, `.${id}.partial`),
    manifest: (id: string) => join(release(id), "manifest.json"),
    /** Only the configuration. It is read often, and a manifest of many files takes long to check. */
    config: (id: string) => join(release(id), "config.json"),
    app: (id: string) => join(release(id), "app"),
    static: (id: string) => join(release(id), "static"),
    wheels: (id: string) => join(release(id), "wheels"),
    /** The project's error page for nginx, which may not read the rest of the project. */
    pages: (id: string) => join(release(id), "pages"),
    /** The symlink from the release to its environment. */
    releaseVenv: (id: string) => join(release(id), "venv"),
    venvs,
    venv: (key: string) => join(venvs, key),
    /** Where builds and steps have their scratch directories. Only root, or the agent of embedded mode, may enter it. */
    build: join(home, "build"),
    run,
    /** The sockets of one run. The app's user may write there. */
    runDir: (runId: string) => join(run, runId),
    /** The launch files of all runs. Only root, or the agent of embedded mode, may write there. */
    launches,
    launchDir: (runId: string) => join(launches, runId),
    /** The ports of runs. Not below run/, where the app's user may write. */
    ports,
    runPorts: (runId: string) => join(ports, `${runId}.json`),
    /** A symlink to a release, through which nginx finds its static files. */
    published: (link: "current" | "canary" | "previous" | "staged") => join(home, link),
    /** The certificates of `tls: auto`, with their keys. Only root, or the agent of embedded mode, may enter it. */
    tls: join(home, "tls"),
    /** Files that outlive releases, such as uploads. */
    shared: join(home, "shared"),
    /** nginx looks here at each request to see whether the site is closed for maintenance. */
    maintenance: join(home, "maintenance"),
    state: join(home, "state.json"),
    logs,
    allRunLogs: join(logs, "runs"),
    runLogs: (runId: string) => join(logs, "runs", runId),
    /** The event files, one for each deployment. */
    deployments: join(logs, "deployments"),
  };
}

export type AppLayout = ReturnType<typeof appLayout>;

/** Where requests of all apps are counted: the lines that nginx writes are root's, the rest is the agent's. */
export function requestPlaces(data: string) {
  const counts = join(data, "request-counts");
  return {
    lines: join(data, "requests"),
    counts,
    /** While one of a period is here, nginx writes lines. */
    periods: join(counts, "periods"),
    /** While a file is here, requests that know its name are the agent's own. */
    visits: join(counts, "visits"),
  };
}
