import { existsSync } from "node:fs";
import { readlink, rm, stat } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { type Config, processName } from "../../shared/config.ts";
import { type Mask, maskUrls, maskValues } from "../../shared/mask.ts";
import { appName, releaseId, runId } from "../../shared/names.ts";
import { effect } from "../effects.ts";
import { allowedPorts, permitPorts } from "../permit-ports.ts";
import type {
  Apps,
  Clock,
  CommandRequest,
  Instance,
  Privileged,
  ProcessGroup,
  ProgramStatus,
  RunSpec,
  SiteRequest,
} from "../ports.ts";
import type { CommandEnvironment } from "../service.ts";
import type { AgentSettings, AppSettings } from "../settings.ts";
import { parseAddress } from "./address.ts";
import { systemClock } from "./clock.ts";
import { syncDirectory } from "./durable.ts";
import { readSecrets, runEnvironment } from "./environment.ts";
import { type AppLayout, appLayout } from "./layout.ts";
import { slotCount } from "./nginx/slots.ts";
import { listIfThere } from "./optional-file.ts";
import { giveTree, sealTree } from "./ownership.ts";
import { type PortRequest, RunPorts } from "./run-ports.ts";
import { Sites } from "./site.ts";
import { runStep, type StepRunner } from "./step.ts";
import { writeLaunchFile } from "./supervisor/launch-files.ts";
import { processesOf, signalEach } from "./supervisor/leftovers.ts";
import {
  processArguments,
  processGroups,
  processOf,
  processOwners,
  removeLaunchFiles,
} from "./supervisor/process-groups.ts";
import {
  launchFilePath,
  logFilePath,
  type ProgramsInput,
  processPrograms,
  processStop,
  renderPrograms,
  runOfProgramsFile,
} from "./supervisor/programs.ts";
import { checkSocketPath, makeDirectory, runInstances } from "./supervisor/run-files.ts";
import { addPrograms, dropPrograms, programStatus, type RunPrograms, stopSoon } from "./supervisor/run-programs.ts";
import { serverArguments } from "./supervisor/servers.ts";
import { Supervisor } from "./supervisor/supervisor.ts";
import { type AppUser, appUser, groupId } from "./users.ts";

export interface LocalPrivilegedOptions {
  settings: AgentSettings;
  apps: Apps;
  /** The file of the launcher: agent/launch.ts, or the built launch.mjs. */
  launcher: string;
  /** The node that runs the launcher; this process's own unless given. */
  node?: string;
  /** Embedded mode: an app without `user` runs as whoever runs the agent, also as root. */
  ownUser?: boolean;
  clock?: Clock;
}

/** What processes of an app get for new files: no rights for others, so a socket opens to nginx's group alone. */
const processUmask = 0o007;

/** Acts on this host directly, as the user that runs the agent: root, or in embedded mode anyone. */
export class LocalPrivileged implements Privileged {
  readonly #options: LocalPrivilegedOptions;
  readonly #clock: Clock;
  readonly #supervisor: Supervisor;
  readonly #ports: RunPorts;
  readonly #sites: Sites;

  constructor(options: LocalPrivilegedOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    const { supervisor } = options.settings;
    this.#supervisor = new Supervisor({ socket: supervisor.socket, confDir: supervisor.conf_dir });
    this.#ports = new RunPorts(options.settings.data);
    this.#sites = new Sites(options.settings, this.#clock);
  }

  async prepareApp(app: string): Promise<void> {
    const layout = this.#layout(app);
    // As long as a run's sockets get: many redeploys of one release, and the last of sixty instances.
    checkSocketPath(`${layout.runDir("20000101T000000Z-0000000.99")}/web-${slotCount - 1}.sock`);
    const { other } = await this.#user(app);
    // Others may pass, to the files and sockets whose own modes let them, but not look around.
    await effect("app.prepare", () => makeDirectory(layout.home, 0o711));
    await makeDirectory(layout.run, 0o711);
    await makeDirectory(layout.releases, 0o755);
    // Its user may add environments, and the sticky bit keeps it from replacing sealed ones, which are root's.
    await makeDirectory(layout.venvs, other === undefined ? 0o755 : 0o1775, other && { uid: 0, gid: other.gid });
    // New files in it get the directory's group, which is nginx's, for what `shared` in cutover.yml serves.
    const gid = other && (await groupId(this.#options.settings.nginx.group));
    await makeDirectory(
      layout.shared,
      gid === undefined ? 0o750 : 0o2750,
      other && { ...other, gid: gid ?? other.gid },
    );
    await makeDirectory(layout.logs, 0o750);
    await makeDirectory(layout.deployments, 0o750);
  }

  async instances(spec: RunSpec): Promise<Instance[]> {
    const { app, run, config } = spec;
    const ports = config.server.bind === "port" ? await this.#ports.of(this.#portRequest(spec)) : [];
    return runInstances(this.#layout(app), runId.parse(run), config, ports);
  }

  async runCommand(spec: RunSpec, command: CommandRequest): Promise<number> {
    const { directory: cwd, env, uid, gid } = await this.commandEnvironment(spec);
    const mask = await this.#mask(spec.app);
    const { argv, timeoutMs, signal, source, onOutput } = command;
    const step = {
      argv,
      cwd,
      env,
      timeoutMs,
      signal,
      onLine: (line: string) => onOutput(source, mask(line)),
      ...(uid !== undefined && { uid }),
      ...(gid !== undefined && { gid }),
    };
    return effect("release.command", () => runStep(step));
  }

  async maskSecrets(app: string, texts: string[]): Promise<string[]> {
    return texts.map(await this.#mask(app));
  }

  async commandEnvironment(spec: RunSpec): Promise<CommandEnvironment> {
    const settings = await this.#options.apps.settings(spec.app);
    const user = await this.#user(spec.app, settings);
    return {
      release: spec.release,
      directory: this.#layout(spec.app).app(releaseId.parse(spec.release)),
      env: await this.#environment(spec, settings, user),
      ...user.other,
    };
  }

  /** Runs build steps as the app's user, to whom it first gives the release or environment that a step works in. */
  stepRunner(): StepRunner {
    return async (app, asked) => {
      // It gets none of the app's secrets, but a requirements file may hold addresses with a password.
      const step = { ...asked, onLine: (line: string) => asked.onLine(maskUrls(line)) };
      const { other } = await this.#user(app);
      if (other === undefined) return runStep(step);
      const tree = buildTree(this.#layout(app), step.cwd);
      if (tree !== undefined && (await stat(tree)).uid !== other.uid) await giveTree(tree, other);
      return runStep({ ...step, ...other });
    };
  }

  /** Without another user there is nobody to seal it against. */
  async sealRelease(app: string, release: string): Promise<void> {
    const { other } = await this.#user(app);
    if (other === undefined) return;
    const layout = this.#layout(app);
    await sealTree(layout.release(releaseId.parse(release)));
    const venv = await readlink(layout.releaseVenv(release)).catch(() => undefined);
    if (venv === undefined) return;
    const target = resolve(layout.release(release), venv);
    if (dirname(target) === layout.venvs && (await stat(target)).uid !== 0) await sealTree(target);
  }

  async startPrograms(spec: RunSpec): Promise<void> {
    const { app, run } = spec;
    if (spec.config.server.bind === "port" && (await this.programs(app, run)) === undefined) {
      await this.#ports.free(this.#portRequest(spec));
    }
    const instances = await this.instances(spec);
    for (const place of instances.map(({ address }) => parseAddress(address))) {
      if ("socket" in place) checkSocketPath(place.socket);
    }
    const user = await this.#user(app);
    await this.#writeRun(spec, instances, user);
    const names = instances.map(({ name }) => name);
    await addPrograms(this.#programs(app, run), renderPrograms(this.#programsInput(spec, user, names)));
  }

  #programsInput({ app, run }: RunSpec, user: AppUser, names: string[]): ProgramsInput {
    const { node = process.execPath, launcher } = this.#options;
    const layout = this.#layout(app);
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

  async startProcess(spec: RunSpec, name: string): Promise<void> {
    const { app, run } = spec;
    const entry = processOf(spec.config, name);
    const names = processPrograms(name, entry);
    const user = await this.#user(app);
    const settings = await this.#options.apps.settings(app);
    await this.#makeRunDirectories(spec, user);
    const layout = this.#layout(app);
    for (const instance of names) {
      const launch = {
        argv: processArguments(entry, { instance, run }),
        env: await this.#environment(spec, settings, user, instance),
        directory: layout.app(releaseId.parse(spec.release)),
        umask: processUmask,
      };
      await writeLaunchFile(launchFilePath(layout, run, instance), launch, user.other?.gid);
    }
    await this.#syncRunDirectories(spec);
    const input = { ...this.#programsInput(spec, user, names), process: { name, stop: processStop(entry) } };
    await addPrograms(this.#programs(app, run, name), renderPrograms(input));
  }

  async processes(app: string): Promise<ProcessGroup[]> {
    return processGroups(this.#processPlace(app));
  }

  async stopProcess(app: string, run: string, name: string): Promise<void> {
    await stopSoon(this.#programs(app, run, name));
  }

  async removeProcess(app: string, run: string, name: string): Promise<void> {
    const programs = this.#programs(app, run, name);
    await dropPrograms(programs, this.#clock);
    await removeLaunchFiles(programs, this.#layout(app));
  }

  /** What supervisord needs at its next start, also after a power cut: the run's directory, launch files, log directory. */
  async #writeRun(spec: RunSpec, instances: Instance[], user: AppUser): Promise<void> {
    const { app, run, release } = spec;
    const layout = this.#layout(app);
    const settings = await this.#options.apps.settings(app);
    await this.#makeRunDirectories(spec, user);
    const directory = layout.app(releaseId.parse(release));
    const venv = layout.releaseVenv(release);
    const ownUwsgi = existsSync(join(venv, "bin", "uwsgi"));
    for (const { name, address } of instances) {
      const place = { directory, venv, address: parseAddress(address), instance: name, ownUwsgi };
      const launch = {
        argv: serverArguments(spec.config, place),
        env: await this.#environment(spec, settings, user, name),
        directory,
        umask: processUmask,
        ...("socket" in place.address && { socket: place.address.socket }),
      };
      await writeLaunchFile(launchFilePath(layout, run, name), launch, user.other?.gid);
    }
    await this.#syncRunDirectories(spec);
  }

  async #makeRunDirectories({ app, run }: RunSpec, user: AppUser): Promise<void> {
    const layout = this.#layout(app);
    const nginxGroup = await groupId(this.#options.settings.nginx.group);
    const owner = nginxGroup === undefined ? undefined : { uid: user.other?.uid ?? 0, gid: nginxGroup };
    // New sockets get the directory's group, which is nginx's.
    await effect("run.prepare", () => makeDirectory(layout.runDir(run), 0o2750, owner));
    await makeDirectory(layout.runLogs(run), 0o750);
  }

  async #syncRunDirectories({ app, run }: RunSpec): Promise<void> {
    const layout = this.#layout(app);
    for (const made of [
      layout.runDir(run),
      layout.run,
      layout.runLogs(run),
      dirname(layout.runLogs(run)),
      layout.logs,
    ]) {
      await syncDirectory(made);
    }
  }

  async programs(app: string, run: string): Promise<ProgramStatus[] | undefined> {
    return programStatus(this.#programs(app, run));
  }

  async removePrograms(app: string, run: string): Promise<void> {
    const owners = (await processOwners(this.#processPlace(app))).filter((owner) => owner.run === run);
    for (const { process: name } of owners) await this.removeProcess(app, run, name);
    await dropPrograms(this.#programs(app, run), this.#clock);
    // Its programs had their time to end; what supervisor does not see of them must not go on.
    signalEach(processesOf({ shared: this.#layout(app).shared, run }), "SIGKILL");
    await this.#ports.forget(app, run);
    // Last, because runs() finds an unfinished removal by it.
    const directory = this.#layout(app).runDir(run);
    await effect("run.remove", () => rm(directory, { recursive: true, force: true }));
  }

  async runs(app: string): Promise<string[]> {
    const files = await listIfThere(this.#options.settings.supervisor.conf_dir);
    const directories = await listIfThere(this.#layout(app).run);
    const found = [
      ...files.map((name) => runOfProgramsFile(app, name)),
      ...directories.filter((name) => runId.safeParse(name).success),
      ...(await this.#ports.runs(app)),
    ];
    return [...new Set(found)].filter((run) => run !== undefined).toSorted();
  }

  async checkSite(app: string, config: Config): Promise<void> {
    const settings = await this.#options.apps.settings(app);
    await this.#sites.check(config, settings);
    await this.#sites.checkFree(config, settings);
  }

  async writeSite(app: string, site: SiteRequest): Promise<{ changed: boolean }> {
    return this.#sites.write(await this.#options.apps.settings(app), site);
  }

  async upstreamServers(app: string): Promise<{ main: string[]; preview: string[] }> {
    return this.#sites.servers(appName.parse(app));
  }

  oldWorkers(): Promise<boolean> {
    return this.#sites.oldWorkers();
  }

  async removeApp(app: string): Promise<void> {
    await this.#sites.remove(appName.parse(app));
    for (const run of await this.runs(app)) await this.removePrograms(app, run);
    const { home } = this.#layout(app);
    await effect("app.remove", () => rm(home, { recursive: true, force: true }));
  }

  #programs(app: string, run: string, process?: string): RunPrograms {
    const { conf_dir: confDir } = this.#options.settings.supervisor;
    const programs = { app: appName.parse(app), run: runId.parse(run), confDir, supervisor: this.#supervisor };
    return process === undefined ? programs : { ...programs, process: processName.parse(process) };
  }

  #processPlace(app: string) {
    const { conf_dir: confDir } = this.#options.settings.supervisor;
    return { app: appName.parse(app), layout: this.#layout(app), confDir, supervisor: this.#supervisor };
  }

  #portRequest({ app, run, config }: RunSpec): PortRequest {
    return {
      app: appName.parse(app),
      run: runId.parse(run),
      count: config.server.instances,
      allowed: async () => {
        const settings = await this.#options.apps.settings(app);
        permitPorts(config, settings);
        return { ports: allowedPorts(settings), file: settings.file };
      },
    };
  }

  /** Names become paths here, so this side of the border checks them itself. */
  #layout(app: string): AppLayout {
    return appLayout(this.#options.settings.data, appName.parse(app));
  }

  async #user(app: string, settings?: AppSettings): Promise<AppUser> {
    return appUser(settings ?? (await this.#options.apps.settings(app)), this.#options.ownUser ?? false);
  }

  async #mask(app: string): Promise<Mask> {
    const mask = maskValues(Object.values(await this.#secrets(await this.#options.apps.settings(app))));
    return (text) => maskUrls(mask(text));
  }

  #secrets({ app, file, env_file }: AppSettings): Promise<Record<string, string>> {
    return readSecrets(env_file ?? join(dirname(file), `${app}.env`), env_file !== undefined);
  }

  async #environment(spec: RunSpec, settings: AppSettings, user: AppUser, instance?: string) {
    const layout = this.#layout(spec.app);
    return runEnvironment({
      app: spec.app,
      release: spec.release,
      run: spec.run,
      venv: layout.releaseVenv(releaseId.parse(spec.release)),
      shared: layout.shared,
      home: user.home,
      user: user.name,
      config: spec.config.env,
      secrets: await this.#secrets(settings),
      ...(instance !== undefined && { instance }),
    });
  }
}

/** The release or the environment that a path lies in. */
function buildTree({ releases, venvs }: AppLayout, path: string): string | undefined {
  for (const parent of [releases, venvs]) {
    const [name, ...rest] = relative(parent, path).split(sep);
    if (name !== undefined && name !== "" && name !== ".." && !rest.includes("..")) return join(parent, name);
  }
  return undefined;
}
