import { releaseOfRun } from "../../shared/names.ts";
import { appNames, type Host } from "./host.ts";
import type { Play } from "./play.ts";

/** How long everything may take until it is at rest, with faults gone. */
const patienceMs = 150_000;

/** I8 and I6: with faults gone every app comes to rest, the next deploy works, and nothing is left over. */
export async function checkRest(play: Play): Promise<void> {
  const { host, agent } = play;
  host.note("== faults end");
  mend(host);
  agent.start();
  for (const app of appNames) {
    if (host.settings.get(app) === undefined) continue;
    host.allow(app);
  }
  await play.pass(patienceMs);
  for (const app of appNames) {
    const { journal, held } = host.watcher.facts(app);
    if (host.settings.has(app) && journal !== null && held === null) {
      host.watcher.broken("I8", `nothing hinders the agent, and a deployment of ${app} stays open at ${journal.state}`);
    }
    // What the histories have left live, before another run takes its place.
    if (host.settings.has(app) && journal === null) checkShare(host, app);
  }
  if (!agent.up) agent.start();
  await play.pass(500);
  for (const app of appNames) if (host.settings.has(app)) await nextDeploy(play, app);
  // What is warm goes, and leases end.
  await play.pass(100_000);
  for (const app of appNames) if (host.settings.has(app) && host.watcher.failure === undefined) checkLeft(host, app);
}

function mend(host: Host): void {
  host.faults.clear();
  host.nginx.foreignBroken = false;
  host.supervisord.brokenFile = false;
  // As after a cut of power: of two that start at once neither waits for the other, and a visitor of that moment finds nobody.
  host.supervisord.boot();
  host.nginx.boot();
}

async function nextDeploy(play: Play, app: string): Promise<void> {
  const { host, agent } = play;
  const { watcher } = host;
  if (watcher.failure !== undefined) return;
  const { staged, held } = watcher.facts(app);
  if (held !== null)
    await settled(
      play,
      play.call("repair", (service) => service.repair(app)),
    );
  if (staged !== null) {
    await settled(play, play.abort(staged.deployment));
    if (watcher.failure === undefined && watcher.facts(app).staged?.run === staged.run) {
      watcher.broken("I8", `${staged.run} of ${app} is staged, and cannot be aborted`);
    }
  }
  let id: string | undefined;
  await settled(
    play,
    play.deploy(app, { keepWarm: "0s", watch: "0s" }, { waitMs: 60_000 }).then((deployment) => {
      id = deployment;
    }),
  );
  // The warm run, a worker that may not overlap and the live run may each take the whole time that they have for their stop.
  await play.pass(120_000, () => id !== undefined && watcher.ended.has(id));
  if (watcher.failure !== undefined) return;
  const end = id === undefined ? undefined : watcher.ended.get(id)?.view;
  if (end?.outcome !== "succeeded") {
    const why =
      end === undefined
        ? "it was refused or did not end"
        : `${end.outcome} ${end.failure?.code}: ${end.failure?.detail}`;
    watcher.broken("I8", `the next deploy of ${app} does not work: ${why}; up: ${agent.up}`);
    return;
  }
  const slots = watcher.slots(app);
  const wrong = slots.find((address) => !host.listener(address)?.well);
  if (wrong !== undefined) watcher.broken("I1", `at rest a slot of ${app} leads to ${wrong}, where nobody is well`);
}

/** Lets time pass until a call is answered. */
async function settled(play: Play, call: Promise<unknown>): Promise<void> {
  let over = false;
  call.then(
    () => {
      over = true;
    },
    () => {
      over = true;
    },
  );
  await play.pass(120_000, () => over);
}

/** I6. The last deployment of each app has kept nothing warm. */
function checkLeft(host: Host, app: string): void {
  const { watcher, supervisord, nginx } = host;
  const disk = host.disk(app);
  const { live, journal, warm, staged } = watcher.facts(app);
  const left = (what: string, names: Iterable<string>) => {
    const list = [...names];
    if (list.length > 0) watcher.broken("I6", `at rest ${what} of ${app} is left over: ${list.join(" ")}`);
  };
  const others = (names: Iterable<string>) => [...new Set(names)].filter((run) => run !== live);
  checkShare(host, app);
  if (journal !== null) watcher.broken("I8", `at rest a deployment of ${app} is still open`);
  if (warm !== null || staged !== null) watcher.broken("I6", `at rest ${app} has ${warm?.run ?? staged?.run}`);
  const files = [...supervisord.files.values()].filter((file) => file.app === app);
  const groups = [...supervisord.groups.values()].flat().filter(({ file }) => file.app === app);
  left("a program", others(groups.map(({ file }) => file.run)));
  left("a program file", others(files.map(({ run }) => run)));
  left("a run directory", others([...disk.runs, ...disk.launches.keys()]));
  left("a choice of ports", others(disk.ports.keys()));
  left(
    "a directory of slots",
    [...disk.slotDirs.keys()].filter((name) => ![...disk.slotLinks.values()].includes(name)),
  );
  const { site, upstream } = nginx.appFiles(app);
  if ([site, upstream].some(({ kept, unread }) => kept !== undefined || unread))
    watcher.broken("I6", `at rest a kept file of ${app} is left over`);
  const state = JSON.parse(disk.state ?? "{}") as {
    releases?: { id: string; state: string }[];
    history?: { id: string }[];
  };
  const known = new Set((state.releases ?? []).filter((release) => release.state !== "failed").map(({ id }) => id));
  left(
    "a release",
    [...disk.releases.keys()].filter((release) => !known.has(release)),
  );
  left("an object", disk.unused());
  left(
    "an environment",
    [...disk.environments].filter((release) => !known.has(release)),
  );
  const remembered = new Set((state.history ?? []).map(({ id }) => id));
  // One that the last deployment has pushed out of the history goes with the next.
  left("a file of events", [...disk.events.keys()].filter((id) => !remembered.has(id)).slice(0, -2));
  if (live !== null && !disk.releases.has(releaseOfRun(live)))
    watcher.broken("I6", `${live} of ${app} is live, and its release is gone`);
}

/** I10. */
function checkShare({ supervisord, watcher }: Host, app: string): void {
  const { live } = watcher.facts(app);
  const low = [...supervisord.instances(app, live ?? "")].filter(({ share }) => share === "low");
  if (low.length === 0) return;
  const names = low.map(({ parts }) => parts.name).join(" ");
  watcher.broken(
    "I10",
    `at rest ${names} of ${live} of ${app}, which is live, has less than the full share of the processor`,
  );
}
