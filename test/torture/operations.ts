import { setTimeout as sleep } from "node:timers/promises";
import { checkEveryMs, failuresInARow } from "../../agent/deploy/watch/run-health.ts";
import { releaseOfRun } from "../../shared/names.ts";
import { type Strike, succeeded, type TortureHost } from "./host.ts";
import { programsRun } from "./leftovers.ts";

/** Something that is done to a host, in which one effect is struck. */
export interface Operation {
  name: string;
  /** Prepares the host. Nothing is struck in it. */
  prepare?(host: TortureHost): Promise<void>;
  /** Returns when the operation has ended, well or not. The agent may be killed in it. */
  run(host: TortureHost): Promise<unknown>;
  /** What a person does if it did not end well; nothing if it did. The agent runs again by then. */
  finish?(host: TortureHost): Promise<void>;
  /** What takes this long in it besides the recovery, in milliseconds: a watch of the agent, or a pause of supervisord. */
  waitsMs?: number;
  /** Why what it leaves live is no host for another point: then a good release is deployed after it. */
  leavesUnwell?: string;
  /** Whether the agent does not run when it begins. */
  starts?: boolean;
  /** Why a reboot in its middle proves nothing. */
  noReboot?: string;
  /** Why it may leave releases that the next deploy must prune. */
  prunesLater?: string;
  /** Answers that visitors may get besides 200. */
  visitorsMaySee?: RegExp;
}

const processes = {
  worker: { command: "python worker.py", stay_up: "1s" },
  beat: { command: "python worker.py", overlap: false, stay_up: "1s" },
};

const stage = async (host: TortureHost): Promise<string> => {
  const { release } = succeeded(await host.tryDeploy({ activate: false }));
  if (release === undefined) throw new Error("staged without a release");
  return release;
};

const stagedRelease = async (host: TortureHost): Promise<string> => (await host.state()).staged?.run ?? "";

/** Kills the agent at an effect of a deploy and starts it again. The recovery of that start is what is struck. */
function recovery(name: string, before: Strike): Operation {
  return {
    name,
    prepare: (host) => killedIn(host, before),
    starts: true,
    run: (host) => host.agent.start(),
  };
}

/** An instance of such a release ends by itself as soon as visitors have come to it. */
const unwell = (how: "once" | "always") => ({ env: { ENDS_WITH_VISITORS: how } });

async function killedIn(host: TortureHost, strike: Strike): Promise<void> {
  host.arm(strike);
  await Promise.race([host.tryDeploy().catch(() => undefined), host.agent.ended]);
  await host.agent.ended;
}

export const operations: Operation[] = [
  { name: "deploy", run: (host) => host.tryDeploy() },
  { name: "new environment", run: (host) => host.tryDeploy({ newEnvironment: true }) },
  {
    name: "failing deploy",
    run: (host) =>
      host.tryDeploy({
        newEnvironment: true,
        config: { env: { BROKEN: "yes" }, health: { path: "/", timeout: "1s" } },
      }),
  },
  {
    name: "other site",
    run: (host) => host.tryDeploy({ config: { site: { client_max_body_size: `${2 + (Date.now() % 900)}m` } } }),
  },
  { name: "cut upload", run: (host) => host.tryDeploy({ cut: true }) },
  { name: "stage", run: (host) => host.tryDeploy({ activate: false }) },
  {
    name: "activate",
    prepare: async (host) => void (await stage(host)),
    run: async (host) => host.activate(await stagedRelease(host)),
  },
  {
    name: "canary",
    prepare: async (host) => void (await stage(host)),
    run: async (host) => host.activate(await stagedRelease(host), 25),
  },
  {
    name: "abort",
    async prepare(host) {
      succeeded(await host.activate(await stage(host), 25));
    },
    run: async (host) => host.abort((await host.state()).staged?.deployment ?? ""),
  },
  {
    name: "replace",
    async prepare(host) {
      succeeded(await host.activate(await stage(host), 25));
    },
    run: (host) => host.tryDeploy(),
  },
  { name: "rollback", prepare: async (host) => void (await host.deploy()), run: (host) => host.rollback() },
  {
    name: "warm rollback",
    async prepare(host) {
      // The release that it goes back to keeps nothing warm, whatever the previous point left.
      await host.deploy();
      await host.deploy({ config: { keep_warm: "10m" } });
    },
    run: (host) => host.rollback(),
  },
  {
    name: "deploy beside a warm run",
    prepare: async (host) => void (await host.deploy({ config: { keep_warm: "10m" } })),
    run: (host) => host.tryDeploy(),
  },
  { name: "read by token", run: (host) => host.readByToken() },
  { name: "redeploy", run: (host) => host.redeploy() },
  {
    name: "watch that fails",
    prepare: async (host) => void (await host.deploy()),
    run: (host) => host.tryDeploy({ config: { ...unwell("once"), watch: "20s" } }),
    // If the agent was killed, the release may stay live: it is not watched again.
    finish: programsRun,
    // supervisord pauses before it starts a program again, and calls it running a second later.
    waitsMs: 3000,
    leavesUnwell: "a redeploy or a rollback would have a new run of it, of which an instance ends too",
  },
  {
    name: "canary that fails",
    prepare: async (host) => void succeeded(await host.tryDeploy({ activate: false, config: unwell("always") })),
    async run(host) {
      await host.activate(await stagedRelease(host), 50);
      await Promise.race([canaryIsGone(host), host.agent.ended]);
    },
    // As many failed checks as end a canary; a start of the agent begins to count again.
    waitsMs: failuresInARow * checkEveryMs,
    // If the agent was killed before it wrote that the release has traffic, nothing makes it fail. A visitor may have come to it
    // all the same, and the instance that ended for that comes back.
    finish: async (host) => ((await host.state()).staged?.weight === 0 ? programsRun(host) : canaryIsGone(host)),
  },
  {
    name: "prune",
    async prepare(host) {
      await host.deploy({ newEnvironment: true });
      await host.deploy();
    },
    run: (host) => host.tryDeploy({ config: { keep: 2 } }),
  },
  {
    name: "pin",
    async run(host) {
      const { live } = await host.state();
      for (const pinned of [true, false]) await host.pin(releaseOfRun(live ?? ""), pinned);
    },
  },
  {
    name: "retire",
    prepare: async (host) => void (await host.deploy({ config: { keep_warm: "2s" } })),
    run: (host) => Promise.race([warmIsGone(host), host.agent.ended]),
  },
  { name: "processes", run: (host) => host.tryDeploy({ config: { processes } }) },
  {
    name: "processes handed over",
    prepare: async (host) => void (await host.deploy({ config: { processes } })),
    run: (host) => host.tryDeploy({ config: { processes } }),
  },
  {
    name: "refused by nginx",
    noReboot: "with another site's broken file nginx does not start, whoever wrote it",
    async run(host) {
      host.breakNginx(true);
      await host
        .tryDeploy({ config: { site: { client_max_body_size: "1500m" } } })
        .finally(() => host.breakNginx(false));
    },
  },
  {
    name: "repair",
    prunesLater: "which releases were rolled back is lost with the state, and a repair removes nothing on a guess",
    async prepare(host) {
      await host.agent.kill();
      host.tearState();
      await host.agent.start();
    },
    run: (host) => host.repair(),
    finish: async (host) => void (await host.state().catch(() => host.repair())),
  },
  {
    name: "app removal",
    prepare: (host) => host.addApp("other"),
    run: (host) => host.removeApp("other"),
    finish: (host) => host.removeApp("other"),
  },
  recovery("recovery that undoes", { fault: "kill-after", effect: "state.write:started" }),
  recovery("recovery that finishes", { fault: "kill-before", effect: "state.write:drained" }),
  recovery("recovery of an upload", { fault: "kill-after", effect: "object.write" }),
  recovery("recovery of a torn write", { fault: "kill-before", effect: "durable.rename", time: 3 }),
  {
    name: "recovery of a held app",
    async prepare(host) {
      await killedIn(host, { fault: "kill-after", effect: "state.write:started" });
      await host.hold();
    },
    starts: true,
    run: (host) => host.agent.start(),
  },
  {
    name: "maintenance",
    async run(host) {
      await host.maintain(true);
      await host.maintain(false);
    },
    finish: (host) => host.maintain(false),
    visitorsMaySee: /^status 503$/,
  },
];

async function canaryIsGone(host: TortureHost): Promise<void> {
  const deadline = performance.now() + 60_000;
  while ((await host.state()).staged !== null && performance.now() < deadline) await sleep(20);
}

async function warmIsGone(host: TortureHost): Promise<void> {
  const deadline = performance.now() + 60_000;
  while ((await host.state()).warm !== null && performance.now() < deadline) await sleep(20);
}
