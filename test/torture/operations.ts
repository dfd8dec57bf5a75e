import { setTimeout as sleep } from "node:timers/promises";
import { succeeded, type TortureHost } from "./host.ts";

/** Something that is done to a host while one of its effects is struck. */
export interface Operation {
  name: string;
  /** What must be so before; nothing is struck in it. */
  prepare?(host: TortureHost): Promise<void>;
  /** Ends when the operation has, well or not; the agent may be killed in it. */
  run(host: TortureHost): Promise<unknown>;
  /** It begins with the agent ended. */
  starts?: boolean;
  /** Answers beside 200 that visitors may get. */
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

/** Kills the agent at an effect of a deploy and starts it again, which recovers; that start is what is struck. */
function recovery(name: string, before: Parameters<TortureHost["arm"]>[0]): Operation {
  return {
    name,
    async prepare(host) {
      host.arm(before);
      await Promise.race([host.tryDeploy().catch(() => undefined), host.agent.ended]);
      await host.agent.ended;
    },
    starts: true,
    run: (host) => host.agent.start(),
  };
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
    prepare: async (host) => void (await host.deploy({ config: { keep_warm: "10m" } })),
    run: (host) => host.rollback(),
  },
  { name: "redeploy", run: (host) => host.redeploy() },
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
  recovery("recovery that undoes", { fault: "kill-after", effect: "state.write:started" }),
  recovery("recovery that finishes", { fault: "kill-before", effect: "state.write:drained" }),
  {
    name: "maintenance",
    async run(host) {
      await host.maintain(true);
      await host.maintain(false);
    },
    visitorsMaySee: /^status 503$/,
  },
];

async function warmIsGone(host: TortureHost): Promise<void> {
  const deadline = performance.now() + 60_000;
  while ((await host.state()).warm !== null && performance.now() < deadline) await sleep(20);
}
