import { lstatSync, readFileSync, statSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { startableProgram } from "../shared/startable-program.ts";
import { processStatus } from "./host/exec/processes.ts";
import type { LaunchFile } from "./host/supervisor/launch-files.ts";
import { type Marks, processesOf, signalEach } from "./host/supervisor/leftovers.ts";
import { lowerOwnShare, quietMs } from "./host/supervisor/share.ts";

/**
 * What supervisor starts for each instance. It reads the launch file named on the command line, and becomes the program in
 * it, with the process id, the user and the signals that supervisor knows. Exit code 127 if that fails. With `-` it reads its
 * standard input: a command of a release has no launch file, which a crash could leave on disk.
 */
async function launch(file: string | undefined): Promise<never> {
  if (file === undefined) throw new Error("no launch file was named");
  const { argv, env, directory, umask, socket, after, quiet } = JSON.parse(
    readFileSync(file === "-" ? 0 : file, "utf8"),
  ) as LaunchFile;
  process.umask(umask);
  process.chdir(directory);
  const marks = marksOf(env);
  if (marks !== undefined) {
    if (after !== undefined) await waitForTurn(marks, after);
    await endLeftovers(marks);
  }
  if (socket !== undefined) removeStaleSocket(socket);
  if (quiet === true && file !== "-" && isNew(file)) lowerOwnShare();
  const [name] = argv;
  if (name === undefined || process.execve === undefined) throw new Error("there is no program to start");
  return process.execve(startableProgram(name, env.PATH ?? "", process.cwd()), argv, env);
}

// Until this process becomes the program, it has supervisord's environment, and so none of these marks.
function marksOf({
  CUTOVER_SHARED: shared,
  CUTOVER_RUN: run,
  CUTOVER_INSTANCE: instance,
}: LaunchFile["env"]): Marks | undefined {
  return shared === undefined || run === undefined || instance === undefined ? undefined : { shared, run, instance };
}

/**
 * A supervisord that was killed and comes back starts all instances at once, although the old ones still serve. So each waits
 * for the one before it, and visitors notice nothing. If that one does not come up, what was left goes on serving. supervisord
 * ends this wait as it ends the program.
 */
async function waitForTurn(marks: Marks, { instance, address }: NonNullable<LaunchFile["after"]>): Promise<void> {
  const before = { ...marks, instance };
  const isSupervised = async (pid: number) => (await processStatus(pid))?.parent === process.ppid;
  while (processesOf(marks).length > 0) {
    const started = await Promise.all(processesOf(before).map(isSupervised));
    if (started.includes(true) && (await listens(address))) return;
    await sleep(100);
  }
}

function listens(address: NonNullable<LaunchFile["after"]>["address"]): Promise<boolean> {
  const options = "socket" in address ? { path: address.socket } : { host: "127.0.0.1", port: address.port };
  return new Promise((resolve) => {
    const connection = connect(options, () => resolve(true));
    connection.on("connect", () => connection.destroy()).on("error", () => resolve(false));
  });
}

/** How long old processes may finish their requests, and then how long they may take to die, in milliseconds. */
const graceMs = 3000;

/** Workers of a killed predecessor go on, and keep its port. They get SIGTERM, then SIGKILL. */
async function endLeftovers(marks: Marks): Promise<void> {
  let pids = processesOf(marks);
  signalEach(pids, "SIGTERM");
  const deadline = performance.now() + graceMs;
  for (; pids.length > 0 && performance.now() < deadline + graceMs; pids = processesOf(marks)) {
    if (performance.now() > deadline) signalEach(pids, "SIGKILL");
    await sleep(20);
  }
}

/**
 * Whether this is the first start of a run. One that supervisord starts again, or starts after a reboot, may have visitors. If
 * the clock jumps, a new run boots at the full share, or a restarted one gets it from the agent, seconds later.
 */
function isNew(file: string): boolean {
  const age = Date.now() - statSync(file).mtimeMs;
  return age >= -quietMs && age < quietMs;
}

/** Not every server removes a socket that its killed predecessor left, and then it could not bind. */
function removeStaleSocket(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket()) unlinkSync(path);
}

try {
  await launch(process.argv[2]);
} catch (error) {
  process.stderr.write(`cutover: cannot start: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(127);
}
