import { lstatSync, readdirSync, readlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { keptReleases } from "../../agent/deploy/retention/kept-releases.ts";
import { runsInUse } from "../../agent/deploy/state.ts";
import { embeddedLayout } from "../../agent/host/embedded/files.ts";
import { Supervisor } from "../../agent/host/supervisor/supervisor.ts";
import type { TortureHost } from "./host.ts";

/**
 * What is on a host at rest but not in its state, and what is in its state but not on the host; empty if all is well.
 * @param how `pruned`: false if releases that should be pruned may wait for the next deploy
 */
export async function leftovers(host: TortureHost, { pruned = true } = {}): Promise<string[]> {
  const state = await host.state();
  const { supervisor, nginx } = embeddedLayout(host.agent.directory);
  const home = join(host.data, "apps", "shop");
  const runs = runsInUse(state);
  const releases = state.releases.filter(({ state }) => state !== "failed").map(({ id }) => id);
  const client = new Supervisor({ socket: supervisor.socket, confDir: supervisor.confDir });
  const programs = await client.getAllProcessInfo();
  const web = (run: string) => `cutover-shop-${run}`;
  const ofRun = (name: string) => runs.some((run) => name === web(run) || name.startsWith(`${web(run)}+`));
  const published = ["current", "previous", "canary", "staged"];
  const links = published.filter((name) => names(home).includes(name));
  const venvs = releases.map((release) => basename(target(join(home, "releases", release, "venv"))));
  const linked = names(home).filter((name) => /^(slots|preview)(-uwsgi)?$/.test(name));
  const slots = linked.map((name) => target(join(home, name)));
  const kept = keptReleases(state, 4, basename(target(join(home, "previous"))));
  const expectedLinks = [
    ...(state.live === null ? [] : ["current"]),
    ...(state.staged === null ? [] : ["staged"]),
    ...(state.staged !== null && state.staged.weight > 0 ? ["canary"] : []),
  ];
  return [
    ...compare("app", names(join(host.data, "apps")), ["shop"]),
    ...compare(
      "site's file",
      names(nginx.confDir),
      names(nginx.confDir).filter((name) => name.startsWith("cutover-shop")),
    ),
    ...compare("group of supervisor", new Set(programs.map(({ group }) => group)), runs.map(web), ofRun),
    ...programs.filter(({ statename }) => statename !== "RUNNING" && statename !== "STARTING").map(notRunning),
    ...compare(
      "programs file",
      names(supervisor.confDir),
      runs.map((run) => `${web(run)}.conf`),
      (name) => ofRun(name.replace(/\.conf$/, "")),
    ),
    ...compare(
      "maintenance directory",
      names(home).filter((name) => name === "maintenance"),
      [],
    ),
    ...compare("run directory", names(join(home, "run")), runs),
    ...compare("ports file", names(join(home, "ports")), host.bind === "port" ? runs.map((run) => `${run}.json`) : []),
    ...compare("release", names(join(home, "releases")), releases),
    ...(pruned ? compare("object without a release", unusedObjects(join(home, "objects")), []) : []),
    ...compare("environment", names(join(home, "venvs")), [...new Set(venvs)]),
    ...compare(
      "link",
      links.filter((name) => name !== "previous"),
      expectedLinks,
    ),
    ...links
      .map((name) => target(join(home, name)))
      .filter((path) => !releases.includes(basename(path)))
      .map((path) => `a link leads to ${path}, which is not there`),
    ...names(home)
      .filter((name) => /^(slots|preview)(-uwsgi)?\.\d+$/.test(name) && !slots.includes(name))
      .map((name) => `slot directory ${name}`),
    ...[home, host.data, nginx.confDir, supervisor.confDir, ...releases.map((id) => join(home, "releases", id))]
      .flatMap((directory) => names(directory).map((name) => join(directory, name)))
      .filter((path) => /\.(tmp|new|before|partial)$/.test(path))
      .map((path) => `temporary file ${path}`),
    ...releases.filter((id) => pruned && !kept.includes(id)).map((id) => `release ${id} that no \`keep\` keeps`),
  ];
}

/** Waits until supervisord has restarted what ended by itself. */
export async function programsRun(host: TortureHost): Promise<void> {
  const { socket, confDir } = embeddedLayout(host.agent.directory).supervisor;
  const client = new Supervisor({ socket, confDir });
  const deadline = performance.now() + 20_000;
  const all = async () => (await client.getAllProcessInfo()).every(({ statename }) => statename === "RUNNING");
  while (!(await all()) && performance.now() < deadline) await sleep(100);
}

function notRunning({ group, name, statename }: { group: string; name: string; statename: string }): string {
  return `${group}:${name} is ${statename}`;
}

function compare(
  what: string,
  found: Iterable<string>,
  wanted: string[],
  known = (name: string) => wanted.includes(name),
) {
  const all = new Set(found);
  return [
    ...[...all].filter((name) => !known(name)).map((name) => `${what} ${name} that nothing knows`),
    ...wanted.filter((name) => !all.has(name)).map((name) => `${what} ${name} is missing`),
  ];
}

function unusedObjects(objects: string): string[] {
  const all = names(objects).flatMap((part) => names(join(objects, part)).map((name) => `${part}/${name}`));
  return all.filter((name) => lstatSync(join(objects, name)).nlink === 1);
}

function names(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function target(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return "";
  }
}
