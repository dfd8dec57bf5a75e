import { mkdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { CutoverError, type ErrorCode } from "../../../shared/errors.ts";
import { findProgram } from "../../../shared/find-program.ts";
import type { Clock } from "../../contracts/ports.ts";
import type { AgentSettings } from "../../settings.ts";
import { systemClock } from "../clock.ts";
import { childrenOf, commandLine, processRuns, readPidFile } from "../exec/processes.ts";
import { toolPath } from "../exec/run-tool.ts";
import { readAgentSettings } from "../store/apps-dir.ts";
import { writeDurably } from "../store/durable.ts";
import { listIfThere, readIfThere } from "../store/read-if-exists.ts";
import { stopSeconds, stopSecondsOf } from "../supervisor/programs.ts";
import { Supervisor } from "../supervisor/supervisor.ts";
import { startDetached } from "./detached.ts";
import {
  type EmbeddedDefaults,
  type EmbeddedLayout,
  embeddedLayout,
  renderAgentSettings,
  renderNginxConf,
  renderSupervisordConf,
  renderUwsgiParams,
} from "./embedded-files.ts";

export interface EmbeddedOptions {
  /** For a first agent.yml; 127.0.0.1:7070 unless given. */
  listen?: string;
  /** For a first agent.yml; the address that it listens on unless given. */
  names?: string[];
  /** Where supervisord and nginx are looked for; the host's usual directories unless given. */
  path?: string;
  clock?: Clock;
}

export interface Embedded {
  settings: AgentSettings;
  appsDir: string;
  /** Ends supervisord with its programs, and nginx, and waits for them. */
  stop(): Promise<void>;
}

/**
 * An own supervisord and nginx under a directory, as whoever starts it. Both outlive the agent; those that run already are
 * taken over.
 * @throws CutoverError host_settings_invalid, supervisor_unreachable, nginx_unreachable
 */
export async function startEmbedded(dir: string, options: EmbeddedOptions = {}): Promise<Embedded> {
  const { clock = systemClock, path = toolPath } = options;
  const layout = embeddedLayout(checkedDirectory(dir));
  const programs = await findPrograms(path);
  await writeFiles(layout, programs.nginx, options);
  const settings = await readAgentSettings(layout.agentSettings);
  const supervisor = new Supervisor({
    socket: layout.supervisor.socket,
    confDir: layout.supervisor.confDir,
    timeoutMs: 5000,
  });
  if (!(await nginxRuns(layout))) await startNginx(layout, programs.nginx, clock);
  if (!(await supervisordRuns(layout, supervisor, clock)))
    await startSupervisord(layout, programs.supervisord, supervisor, clock);
  return {
    settings,
    appsDir: layout.apps,
    async stop() {
      await stopNginx(layout, clock);
      await stopSupervisord(layout, supervisor, clock);
    },
  };
}

/** The directory goes into files of nginx and supervisor, which disagree about quoting. */
function checkedDirectory(dir: string): string {
  const path = resolve(dir);
  if (/^\/[A-Za-z0-9._/+@-]+$/.test(path)) return path;
  throw new CutoverError("host_settings_invalid", `Embedded mode cannot use this directory: ${JSON.stringify(path)}.`, {
    unchanged: "Nothing was started.",
    fix: "Choose a directory whose path has only letters, digits and ._+@-/.",
  });
}

async function findPrograms(path: string): Promise<{ supervisord: string; nginx: string }> {
  const [supervisord, nginx] = ["supervisord", "nginx"].map((name) => findProgram(name, path));
  if (supervisord !== undefined && nginx !== undefined) return { supervisord, nginx };
  const missing = [...(nginx === undefined ? ["nginx"] : []), ...(supervisord === undefined ? ["supervisor"] : [])];
  const code: ErrorCode = nginx === undefined ? "nginx_unreachable" : "supervisor_unreachable";
  throw new CutoverError(code, `Embedded mode needs ${missing.join(" and ")}, which this machine does not have.`, {
    unchanged: "Nothing was started.",
    fix: `Install ${missing.length === 1 ? "it" : "them"}: apt-get install ${missing.join(" ")} (or your system's packages of these names).`,
  });
}

async function writeFiles(layout: EmbeddedLayout, nginx: string, options: EmbeddedOptions): Promise<void> {
  const { listen = "127.0.0.1:7070", names = [listen] } = options satisfies Partial<EmbeddedDefaults>;
  const isRoot = process.geteuid?.() === 0;
  const directories = [
    layout.apps,
    layout.data,
    layout.log,
    layout.temporary,
    layout.supervisor.confDir,
    layout.nginx.confDir,
  ];
  for (const directory of directories) await mkdir(directory, { recursive: true });
  await writeIfOther(layout.supervisor.conf, renderSupervisordConf(layout, isRoot));
  await writeIfOther(layout.nginx.conf, renderNginxConf(layout, isRoot));
  await writeIfOther(layout.nginx.uwsgiParams, renderUwsgiParams());
  if ((await readIfThere(layout.agentSettings)) === undefined) {
    // Its nginx runs as root, as the agent does; without root there is only one's own group.
    const text = renderAgentSettings(layout, { listen, names }, { binary: nginx, group: "root" });
    await writeDurably(layout.agentSettings, text, 0o644);
  }
}

async function writeIfOther(path: string, text: string): Promise<void> {
  if ((await readIfThere(path)) !== text) await writeDurably(path, text, 0o644);
}

async function nginxRuns({ nginx }: EmbeddedLayout): Promise<boolean> {
  const pid = await readPidFile(nginx.pidFile);
  // The number may long belong to another process.
  return pid !== undefined && (await processRuns(pid)) && (await commandLine(pid)).includes(nginx.conf);
}

async function startNginx({ nginx, log }: EmbeddedLayout, program: string, clock: Clock): Promise<void> {
  const daemon = await startDetached(
    program,
    ["-c", nginx.conf, "-e", nginx.log, "-g", "daemon off;"],
    join(log, "nginx.out"),
  );
  const deadline = clock.elapsed() + 10_000;
  while ((await readPidFile(nginx.pidFile)) !== daemon.pid || (await childrenOf(daemon.pid)).length === 0) {
    const said = await daemon.ended();
    if (said !== undefined || clock.elapsed() > deadline)
      throw nginxDidNotStart(said ?? "it has no workers yet", nginx.confDir);
    await clock.sleep(10);
  }
}

function nginxDidNotStart(said: string, confDir: string): CutoverError {
  return new CutoverError("nginx_unreachable", `nginx did not start: ${said.split("\n").at(-1)}`, {
    unchanged: "Nothing was changed.",
    fix: said.includes("bind()")
      ? "Another program has an address of one of the sites: stop it, or change `listen` of the app."
      : `Look at what it says, and at ${confDir}.`,
    evidence: [{ source: "nginx", text: said.slice(-4000) }],
  });
}

async function stopNginx(layout: EmbeddedLayout, clock: Clock): Promise<void> {
  const pid = await readPidFile(layout.nginx.pidFile);
  if (pid === undefined || !(await nginxRuns(layout))) return;
  // First what ends requests well, then what ends them.
  for (const [signal, patience] of [
    ["SIGQUIT", 3000],
    ["SIGTERM", 3000],
    ["SIGKILL", 3000],
  ] as const) {
    process.kill(pid, signal);
    if (await ends(pid, patience, clock)) return;
  }
}

/** Whether a supervisord of this directory is up; one that is still starting or ending is waited for. */
async function supervisordRuns({ supervisor }: EmbeddedLayout, client: Supervisor, clock: Clock): Promise<boolean> {
  const deadline = clock.elapsed() + 10_000;
  for (;;) {
    const answering = await client.pid().catch(() => undefined);
    if (answering !== undefined) return true;
    const pid = await readPidFile(supervisor.pidFile);
    const runs = pid !== undefined && (await processRuns(pid)) && (await commandLine(pid)).includes(supervisor.conf);
    if (!runs) return false;
    if (clock.elapsed() > deadline) {
      throw new CutoverError(
        "supervisor_unreachable",
        `supervisord runs (${pid}), but does not answer on ${supervisor.socket}.`,
        {
          unchanged: "Nothing was changed.",
          fix: `End it (kill ${pid}) and start again. Its log: ${supervisor.log}.`,
        },
      );
    }
    await clock.sleep(50);
  }
}

async function startSupervisord(
  { supervisor, log }: EmbeddedLayout,
  program: string,
  client: Supervisor,
  clock: Clock,
): Promise<void> {
  // One that was killed leaves its socket behind.
  await rm(supervisor.socket, { force: true });
  const daemon = await startDetached(program, ["-n", "-s", "-c", supervisor.conf], join(log, "supervisord.out"));
  const deadline = clock.elapsed() + 10_000;
  while ((await client.pid().catch(() => undefined)) === undefined) {
    const said = await daemon.ended();
    if (said !== undefined) {
      throw new CutoverError("supervisor_config_broken", `supervisord did not start: ${said.split("\n")[0]}`, {
        unchanged: "Nothing was changed.",
        fix: `Correct or remove the file that the message is about; the programs are in ${supervisor.confDir}.`,
        evidence: [{ source: "supervisord", text: said.slice(-4000) }],
      });
    }
    if (clock.elapsed() > deadline) {
      throw new CutoverError("supervisor_unreachable", "supervisord started, but does not answer.", {
        unchanged: "Nothing was changed.",
        fix: `Look into its log: ${supervisor.log}.`,
      });
    }
    await clock.sleep(20);
  }
}

async function stopSupervisord({ supervisor }: EmbeddedLayout, client: Supervisor, clock: Clock): Promise<void> {
  const pid = await client.pid().catch(() => undefined);
  if (pid === undefined) return;
  await client.shutdown();
  if (await ends(pid, ((await longestStop(supervisor.confDir)) + 10) * 1000, clock)) return;
  throw new CutoverError("supervisor_unreachable", `supervisord (${pid}) did not end.`, {
    fix: `Look into its log (${supervisor.log}) for the program that it waits for.`,
  });
}

/** The most seconds that a program may take to end. */
async function longestStop(confDir: string): Promise<number> {
  const files = (await listIfThere(confDir)).map((name) => join(confDir, name));
  const texts = await Promise.all(files.map(readIfThere));
  return Math.max(stopSeconds, ...texts.map((text) => stopSecondsOf(text ?? "")));
}

async function ends(pid: number, patienceMs: number, clock: Clock): Promise<boolean> {
  const deadline = clock.elapsed() + patienceMs;
  while (await processRuns(pid)) {
    if (clock.elapsed() > deadline) return false;
    await clock.sleep(20);
  }
  return true;
}
