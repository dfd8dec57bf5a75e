import { processName } from "../../../shared/config.ts";
import { appName, runId } from "../../../shared/names.ts";
import type { Apps, Clock } from "../../contracts/ports.ts";
import type { Instance, ProcessGroup, ProgramStatus, RunSpec } from "../../contracts/privileged.ts";
import { effect } from "../../effects.ts";
import { permittedPorts } from "../../host-policy.ts";
import type { HostApp } from "../exec/host-app.ts";
import { parseAddress } from "../net/address.ts";
import { type PortRequest, RunPorts } from "../net/run-ports.ts";
import type { AppDirectories } from "../ownership/app-directories.ts";
import { removeTree } from "../ownership/trees.ts";
import { type AppLayout, appLayout } from "../store/layout.ts";
import { listIfExists } from "../store/read-if-exists.ts";
import { listSafely } from "../store/safe-read.ts";
import { checkSocketPath, runInstances } from "./instances.ts";
import { processesOf, signalEach } from "./leftovers.ts";
import { processGroups, processOf, processOwners, removeLaunchFiles } from "./process-groups.ts";
import { addPrograms, dropPrograms, type ProgramGroup, programStatus, stopSoon } from "./program-group.ts";
import {
  launchFilePath,
  logFilePath,
  type ProgramsInput,
  processPrograms,
  processStop,
  renderPrograms,
  runOfProgramsFile,
} from "./programs-file.ts";
import { revive } from "./revive.ts";
import { syncRunDirectories, writeInstanceLaunchFiles, writeProcessLaunchFiles } from "./run-launch-files.ts";
import { giveShareBack, hasLowShare } from "./share.ts";
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

/** The programs of an app's runs: its web instances, and the processes of cutover.yml. */
export class AppPrograms {
  readonly #options: AppProgramsOptions;
  readonly #ports: RunPorts;

  constructor(options: AppProgramsOptions) {
    this.#options = options;
    this.#ports = new RunPorts(options.data);
  }

  async instances(spec: RunSpec): Promise<Instance[]> {
    const { app, run, config } = spec;
    const layout = this.#layout(app);
    if (config.server.bind !== "port") return runInstances(layout, runId.parse(run), config);
    const ports = await this.#ports.ofRun(appName.parse(app), runId.parse(run));
    return ports === undefined ? [] : runInstances(layout, run, config, ports);
  }

  /** The ports of an app's runs. Visitors of the app may go to no other port of this host. */
  ports(app: string): Promise<number[]> {
    return this.#ports.ofApp(appName.parse(app));
  }

  async start(app: HostApp, spec: RunSpec): Promise<void> {
    const programs = this.#programs(spec.app, spec.run);
    if (spec.config.server.bind === "port") {
      const request = this.#portRequest(spec);
      // What listens there while supervisor knows the run are its own instances.
      if ((await programStatus(programs)) === undefined) await this.#ports.ensureFree(request);
      else await this.#ports.of(request);
    }
    const instances = await this.instances(spec);
    for (const place of instances.map(({ address }) => parseAddress(address))) {
      if ("socket" in place) checkSocketPath(place.socket);
    }
    await this.#options.directories.prepareRun(app.layout, spec.run, app.user);
    await writeInstanceLaunchFiles(app, spec, instances);
    await syncRunDirectories(app.layout, spec.run);
    const names = instances.map(({ name }) => name);
    await addPrograms(programs, renderPrograms(this.#input(app, spec, names)));
  }

  async startProcess(app: HostApp, spec: RunSpec, name: string): Promise<void> {
    const { run } = spec;
    const entry = processOf(spec.config, name);
    const names = processPrograms(name, entry);
    await this.#options.directories.prepareRun(app.layout, run, app.user);
    await writeProcessLaunchFiles(app, spec, { process: entry, names });
    await syncRunDirectories(app.layout, run);
    const input = { ...this.#input(app, spec, names), process: { name, stop: processStop(entry) } };
    await addPrograms(this.#programs(spec.app, run, name), renderPrograms(input));
  }

  programs(app: string, run: string): Promise<ProgramStatus[] | undefined> {
    return programStatus(this.#programs(app, run));
  }

  revive(app: string, run: string, stopped: boolean): Promise<ProgramStatus[] | undefined> {
    return revive(this.#programs(app, run), stopped);
  }

  async fullShare({ layout, user, settings }: HostApp, run: string): Promise<void> {
    const uid = user.other?.uid ?? process.geteuid?.() ?? 0;
    const programs = (await this.programs(settings.app, run))?.filter(({ pid }) => pid !== 0) ?? [];
    if (programs.length === 0) return;
    const supervisord = await this.#options.supervisor.pid();
    const low = programs.filter(({ pid }) => hasLowShare(pid, supervisord));
    if (low.length === 0) return;
    await effect("programs.share", async () => {
      for (const { name, pid } of low)
        giveShareBack({ pid, supervisord, uid, marks: { shared: layout.shared, run, instance: name } });
    });
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
    // Its programs had time to end. What supervisor does not see of them must not go on.
    const left = processesOf({ shared: layout.shared, run });
    await effect("run.kill", async () => signalEach(left, "SIGKILL"));
    await this.#ports.forget(app, run);
    await effect("launch.remove", () => removeTree(layout.launchDir(run)));
    // Last, because runs() finds an interrupted removal by it.
    await effect("run.remove", () => removeTree(layout.runDir(run)));
  }

  /** Also a run whose removal was interrupted. */
  async runs(app: string): Promise<string[]> {
    const layout = this.#layout(app);
    const files = await listIfExists(this.#options.confDir);
    const directories = [
      ...(await listSafely(layout.home, layout.run)),
      ...(await listSafely(layout.home, layout.launches)),
    ];
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
