import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { LaunchFile } from "../../agent/host/supervisor/launch-files.ts";
import { processId } from "../harness/processes.ts";
import { Scratch } from "../harness/scratch.ts";

export interface HealthQuestion {
  path: string;
  host: string;
}

const pollMs = 10;
const longestMs = 60_000;

/**
 * How long the app itself takes to boot: every instance of a release that is on the host, with the command line, the
 * environment and the directory that cutover gives it, started at the same time and without cutover, until all answer.
 */
export async function measureBoot(launchDirectory: string, health: HealthQuestion): Promise<number> {
  await using scratch = new Scratch("boot");
  const launches = readdirSync(launchDirectory)
    .filter((name) => name.endsWith(".json"))
    .map((name) => JSON.parse(readFileSync(join(launchDirectory, name), "utf8")) as LaunchFile)
    // Processes serve nothing that could answer.
    .filter((launch): launch is ServingFile => launch.socket !== undefined);
  if (launches.length === 0) throw new Error(`${launchDirectory} has no launch files`);
  const begun = performance.now();
  const sockets = launches.map((launch, index) => start(launch, join(scratch.path, `${index}.sock`), scratch));
  await Promise.all(sockets.map((socket) => answers(socket, health)));
  return performance.now() - begun;
}

type ServingFile = LaunchFile & { socket: string };

function start({ argv, env, directory, socket }: ServingFile, ownSocket: string, scratch: Scratch): string {
  const [program = "", ...args] = argv.map((word) => word.replace(socket, ownSocket));
  const child = spawn(program, args, { cwd: directory, env, stdio: "ignore" });
  child.once("error", () => undefined);
  if (child.pid !== undefined) scratch.adopt(processId(child.pid));
  return ownSocket;
}

async function answers(socket: string, health: HealthQuestion): Promise<void> {
  const deadline = performance.now() + longestMs;
  while ((await statusOf(socket, health)) !== 200) {
    if (performance.now() > deadline) throw new Error(`the app does not answer on ${socket}`);
    await sleep(pollMs);
  }
}

function statusOf(socketPath: string, { path, host }: HealthQuestion): Promise<number | undefined> {
  return new Promise((resolve) => {
    const call = request({ socketPath, path, agent: false, headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    call.setTimeout(longestMs, () => call.destroy());
    call.once("error", () => resolve(undefined));
    call.end();
  });
}
