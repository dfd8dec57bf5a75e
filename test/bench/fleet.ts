import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { stringify } from "yaml";
import { generateKey } from "../../shared/key.ts";
import { Workspace } from "../action/workspace.ts";
import { FakeAgent, type FakeAgentOptions } from "../fakes/agent.ts";
import { startAction } from "../harness/action.ts";

export interface FleetFigures {
  exitCode: number;
  /** Of the whole job, and between the first and the last host that moved its traffic, in seconds. */
  seconds: number;
  skew: number;
  /** The largest resident set of the Action, in MB. */
  megabytes: number;
  /** Lines that the runner shows: it hides what is to be masked. */
  log: string[];
}

const sampleEveryMs = 50;

/**
 * The built Action on so many hosts, whose agents speak the real protocol and deploy nothing. They run in this process.
 * @param rollout of cutover.yml
 */
export async function deployToFleet(
  count: number,
  rollout: object,
  options: (index: number) => FakeAgentOptions = () => ({}),
): Promise<FleetFigures> {
  const pair = await generateKey();
  const moved: number[] = [];
  const journal = { push: (line: string) => line.endsWith("activate cut_over") && moved.push(performance.now()) };
  const agents = await Promise.all(
    Array.from({ length: count }, (_, index) =>
      FakeAgent.start({ ...options(index), journal: journal as never, name: "host" }, pair),
    ),
  );
  const config = {
    ...{ app: "shop", server: { kind: "gunicorn", app: "shop.wsgi:application" }, python: { wheels: "none" } },
    ...{ rollout },
  };
  using space = new Workspace({ "p/shop/wsgi.py": "application = 1\n", "p/cutover.yml": stringify(config) });
  try {
    const start = performance.now();
    const action = startAction({
      cwd: space.at("p"),
      inputs: { hosts: agents.map(({ url }) => url.origin).join("\n"), "signing-key": pair.privatePem },
    });
    let megabytes = 0;
    const sampling = setInterval(() => {
      megabytes = Math.max(megabytes, residentMegabytes(action.pid ?? 0));
    }, sampleEveryMs);
    const { exitCode, stdout } = await action.result.finally(() => clearInterval(sampling));
    return {
      exitCode,
      seconds: (performance.now() - start) / 1000,
      skew: moved.length === 0 ? 0 : ((moved.at(-1) ?? 0) - (moved[0] ?? 0)) / 1000,
      megabytes,
      log: stdout.split("\n").filter((line) => !line.startsWith("::add-mask::")),
    };
  } finally {
    await Promise.all(agents.map((agent) => agent.close()));
  }
}

function residentMegabytes(pid: number): number {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [count = "500", parallel = "all"] = process.argv.slice(2);
  const rollout = { parallel: parallel === "all" ? parallel : Number(parallel) };
  const { log, ...figures } = await deployToFleet(Number(count), rollout);
  console.log(log.join("\n"));
  console.log({ ...figures, lines: log.length });
}
