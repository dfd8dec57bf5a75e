import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { processName } from "../../../shared/config.ts";
import { appName, releaseId, runId } from "../../../shared/names.ts";
import type { Apps, Clock } from "../../contracts/ports.ts";
import type { Instance, ProcessGroup, ProgramStatus, RunSpec } from "../../contracts/privileged.ts";
import { effect } from "../../effects.ts";
import { permittedPorts } from "../../host-policy.ts";
import { type HostApp, specEnvironment } from "../exec/app-commands.ts";
import { parseAddress } from "../net/address.ts";
import { type PortRequest, RunPorts } from "../net/run-ports.ts";
import { removeTree } from "../ownership/trees.ts";
import type { AppDirectories } from "../ownership/app-directories.ts";
import { syncDirectory } from "../store/durable.ts";
import { type AppLayout, appLayout } from "../store/layout.ts";
import { listIfExists } from "../store/read-if-exists.ts";
import { writeLaunchFile } from "./launch-files.ts";
import { processesOf, signalEach } from "./leftovers.ts";
import { processArguments, processGroups, processOf, processOwners, removeLaunchFiles } from "./process-groups.ts";
import {
  launchFilePath,
  logFilePath,
  type ProgramsInput,
  processPrograms,
  processStop,
  renderPrograms,
  runOfProgramsFile,
} from "./programs-file.ts";
import { checkSocketPath, runInstances } from "./instances.ts";
import { addPrograms, dropPrograms, programStatus, type ProgramGroup, stopSoon } from "./program-group.ts";
import { serverArguments } from "./servers.ts";
import type { Supervisor } from "./supervisor.ts";

export interface AppProgramsOptions {
  data: string;
  confDir: string;
  apps: Apps;
  directories: AppDirectories;
  supervisor: Supervisor;
  clock: Clock;
  launcher: { node: string; file: string };
}

/** What processes of an app get for new files: no rights for others, so a socket opens to nginx's group alone. */
const processUmask = 0o007;

/** The programs of runs: web instances, and the processes of cutover.yml. */
export class AppPrograms {
  readonly #options: AppProgramsOptions;
  readonly #ports: RunPorts;

  constructor(options: AppProgramsOptions) {
    this.#options = options;
    this.#ports = new RunPorts(options.data);
  }

  async instances(spec: RunSpec): Promise<Instance[]> {
    const { app, run, config } = spec;
    const ports = config.server.bind === "port" ? await this.#ports.of(this.#portRequest(spec)) : [];
    return runInstances(this.#layout(app), runId.parse(run), config, ports);
  }

  /** The ports of an app's runs: nothing else of this host may get its visitors. */
  ports(app: string): Promise<number[]> {
    return this.#ports.ofApp(appName.parse(app));
  }

  async start(app: HostApp, spec: RunSpec): Promise<void> {
    const programs = this.#programs(spec.app, spec.run);
    if (spec.config.server.bind === "port" && (await programStatus(programs)) === undefined) {
      await this.#ports.ensureFree(this.#portRequest(spec));
    }
    const instances = await this.instances(spec);
    for (const place of instances.map(({ address }) => parseAddress(address))) {
      if ("socket" in place) checkSocketPath(place.socket);
    }
    await this.#options.directories.prepareRun(app.layout, spec.run, app.user);
    await writeInstances(app, spec, instances);
    await syncRunDirectories(app.layout, spec.run);
    const names = instances.map(({ name }) => name);
    await addPrograms(programs, renderPrograms(this.#input(app, spec, names)));
  }

  async startProcess(app: HostApp, spec: RunSpec, name: string): Promise<void> {
    const { run } = spec;
    const entry = processOf(spec.config, name);
    const names = processPrograms(name, entry);
    await this.#options.directories.prepareRun(app.layout, run, app.user);
    for (const instance of names) {
      const launch = {
        argv: processArguments(entry, { instance, run }),
        env: await specEnvironment(app, spec, instance),
        directory: app.layout.app(releaseId.parse(spec.release)),
        umask: processUmask,
      };
      await writeLaunchFile(launchFilePath(app.layout, run, instance), launch, app.user.other?.gid);
    }
    await syncRunDirectories(app.layout, run);
    const input = { ...this.#input(app, spec, names), process: { name, stop: processStop(entry) } };
    await addPrograms(this.#programs(spec.app, run, name), renderPrograms(input));
  }

  programs(app: string, run: string): Promise<ProgramStatus[] | undefined> {
    return programStatus(this.#programs(app, run));
  }

  processes(app: string): Promise<ProcessGroup[]> {
    return processGroups(this.#place(app));
  }

  stopProcess(app: string, run: string, name: string): Promise<void> {
    return stopSoon(this.#programs(app, run, name), this.#options.clock);
  }

  async removeProcess(app: string, run: string, name: string): Promise<void> {
    const programs = this.#programs(app, run, name);
    await dropPrograms(programs, this.#options.clock);
    await removeLaunchFiles(programs, this.#layout(app));
  }

  async remove(app: string, run: string): Promise<void> {
    const programs = this.#programs(app, run);
    const owners = (await processOwners(this.#place(app))).filter((owner) => owner.run === run);
    for (const { process: name } of owners) await this.removeProcess(app, run, name);
    await dropPrograms(programs, this.#options.clock);
    const layout = this.#layout(app);
    // Its programs had their time to end; what supervisor does not see of them must not go on.
    const left = processesOf({ shared: layout.shared, run });
    await effect("run.kill", async () => signalEach(left, "SIGKILL"));
    await this.#ports.forget(app, run);
    await effect("launch.remove", () => removeTree(layout.launchDir(run)));
    // Last, because runs() finds an unfinished removal by it.
    await effect("run.remove", () => removeTree(layout.runDir(run)));
  }

  /** Also of a run whose removal was interrupted. */
  async runs(app: string): Promise<string[]> {
    const layout = this.#layout(app);
    const files = await listIfExists(this.#options.confDir);
    const directories = [...(await listIfExists(layout.run)), ...(await listIfExists(layout.launches))];
    const found = [
      ...files.map((name) => runOfProgramsFile(app, name)),
      ...directories.filter((name) => runId.safeParse(name).success),
      ...(await this.#ports.runs(app)),
    ];
    return [...new Set(found)].filter((run) => run !== undefined).toSorted();
  }

  #input({ layout, user }: HostApp, { app, run }: RunSpec, names: string[]): ProgramsInput {
    const { node, file: launcher } = this.#options.launcher;
    return {
      app,
      run,
      node,
      launcher,
      user: user.other === undefined ? undefined : user.name,
      instances: names.map((name) => ({
        name,
        launchFile: launchFilePath(layout, run, name),
        logFile: logFilePath(layout, run, name),
      })),
    };
  }

  #programs(app: string, run: string, process?: string): ProgramGroup {
    const { confDir, supervisor } = this.#options;
    const programs = { app: appName.parse(app), run: runId.parse(run), confDir, supervisor };
    return process === undefined ? programs : { ...programs, process: processName.parse(process) };
  }

  #place(app: string) {
    const { confDir, supervisor } = this.#options;
    return { app: appName.parse(app), layout: this.#layout(app), confDir, supervisor };
  }

  #portRequest({ app, run, config }: RunSpec): PortRequest {
    return {
      app: appName.parse(app),
      run: runId.parse(run),
      count: config.server.instances,
      allowed: async () => {
        const settings = await this.#options.apps.settings(app);
        return { ports: permittedPorts(config, settings), file: settings.file };
      },
    };
  }

  /** Names become paths here, so this side of the border checks them itself. */
  #layout(app: string): AppLayout {
    return appLayout(this.#options.data, appName.parse(app));
  }
}

async function writeInstances(app: HostApp, spec: RunSpec, instances: Instance[]): Promise<void> {
  const { layout, user } = app;
  const directory = layout.app(releaseId.parse(spec.release));
  const venv = layout.releaseVenv(spec.release);
  const ownUwsgi = existsSync(join(venv, "bin", "uwsgi"));
  for (const [index, { name, address }] of instances.entries()) {
    const before = instances[index - 1];
    const place = { directory, venv, address: parseAddress(address), instance: name, ownUwsgi };
    const launch = {
      argv: serverArguments(spec.config, place),
      env: await specEnvironment(app, spec, name),
      directory,
      umask: processUmask,
      ...("socket" in place.address && { socket: place.address.socket }),
      ...(before !== undefined && { after: { instance: before.name, address: parseAddress(before.address) } }),
    };
    await writeLaunchFile(launchFilePath(layout, spec.run, name), launch, user.other?.gid);
  }
}

/** What supervisord needs at its next start, also after a power cut: directories and launch files. */
async function syncRunDirectories(layout: AppLayout, run: string): Promise<void> {
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
