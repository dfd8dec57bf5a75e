import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { argv } from "../../../shared/command.ts";
import type { Process } from "../../../shared/config.ts";
import { releaseId } from "../../../shared/names.ts";
import type { Instance, RunSpec } from "../../contracts/privileged.ts";
import { specEnvironment } from "../exec/app-commands.ts";
import type { HostApp } from "../exec/host-app.ts";
import { parseAddress } from "../net/address.ts";
import { syncDirectory } from "../store/durable.ts";
import type { AppLayout } from "../store/layout.ts";
import { writeLaunchFile } from "./launch-files.ts";
import { launchFilePath } from "./programs-file.ts";
import { serverArguments } from "./servers.ts";
import { canGiveShareBack } from "./share.ts";

/** New files of an app's processes give no rights to others, so only nginx's group can open a socket. */
const processUmask = 0o007;

/** Writes the launch file of each web instance, in their order. */
export async function writeInstanceLaunchFiles(app: HostApp, spec: RunSpec, instances: Instance[]): Promise<void> {
  const { layout, user } = app;
  const directory = layout.app(releaseId.parse(spec.release));
  const venv = layout.releaseVenv(spec.release);
  const ownUwsgi = existsSync(join(venv, "bin", "uwsgi"));
  const cores = availableParallelism();
  const quiet = canGiveShareBack();
  for (const [index, { name, address }] of instances.entries()) {
    const before = instances[index - 1];
    const { shared } = layout;
    const place = { directory, venv, address: parseAddress(address), instance: name, ownUwsgi, shared, cores };
    const launch = {
      argv: serverArguments(spec.config, place),
      env: await specEnvironment(app, spec, name),
      directory,
      umask: processUmask,
      ...("socket" in place.address && { socket: place.address.socket }),
      ...(quiet && { quiet }),
      ...(before !== undefined && { after: { instance: before.name, address: parseAddress(before.address) } }),
    };
    await writeLaunchFile(launchFilePath(layout, spec.run, name), launch, user.other && { gid: user.other.gid });
  }
}

/** Writes the launch file of each program of one of the run's processes. */
export async function writeProcessLaunchFiles(
  app: HostApp,
  spec: RunSpec,
  { process, names }: { process: Process; names: string[] },
): Promise<void> {
  const { layout, user } = app;
  for (const name of names) {
    const launch = {
      argv: processArguments(process, { instance: name, run: spec.run, shared: layout.shared }),
      env: await specEnvironment(app, spec, name),
      directory: layout.app(releaseId.parse(spec.release)),
      umask: processUmask,
    };
    await writeLaunchFile(launchFilePath(layout, spec.run, name), launch, user.other && { gid: user.other.gid });
  }
}

/** After this, the directories and launch files of a run survive a power cut: supervisord needs them at its next start. */
export async function syncRunDirectories(layout: AppLayout, run: string): Promise<void> {
  for (const made of [
    layout.runDir(run),
    layout.run,
    layout.launchDir(run),
    layout.launches,
    layout.runLogs(run),
    dirname(layout.runLogs(run)),
    layout.logs,
  ]) {
    await syncDirectory(made);
  }
}

/**
 * The argument list of one program: `{instance}` is its name, `{run}` distinguishes it from the old run's program, and
 * `{shared}` is the app's shared directory.
 */
function processArguments({ command }: Process, values: { instance: string; run: string; shared: string }): string[] {
  return argv(command).map((word) =>
    word.replace(/\{(instance|run|shared)\}/g, (_, name: keyof typeof values) => values[name]),
  );
}
