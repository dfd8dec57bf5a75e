import { mkdir } from "node:fs/promises";
import { resolve } from "node:path";
import { CutoverError, type ErrorCode } from "../../../shared/errors.ts";
import { findProgram } from "../../../shared/find-program.ts";
import type { Clock } from "../../contracts/ports.ts";
import type { AgentSettings } from "../../settings.ts";
import { systemClock } from "../clock.ts";
import { toolPath } from "../exec/run-tool.ts";
import { readAgentSettings } from "../store/apps-dir.ts";
import { writeDurably } from "../store/durable.ts";
import { readIfExists } from "../store/read-if-exists.ts";
import { Supervisor } from "../supervisor/supervisor.ts";
import {
  type EmbeddedDefaults,
  type EmbeddedLayout,
  embeddedLayout,
  renderAgentSettings,
  renderNginxConf,
  renderSupervisordConf,
  renderUwsgiParams,
} from "./files.ts";
import { nginxRuns, startNginx, stopNginx } from "./nginx.ts";
import { startSupervisord, stopSupervisord, supervisordRuns } from "./supervisord.ts";

export interface EmbeddedOptions {
  /** The address for the first agent.yml; 127.0.0.1:7070 unless given. */
  listen?: string;
  /** The names for the first agent.yml; `listen` unless given. */
  names?: string[];
  /** The PATH in which supervisord and nginx are found; the host's usual directories unless given. */
  path?: string;
  clock?: Clock;
}

export interface Embedded {
  settings: AgentSettings;
  appsDir: string;
  /** Stops nginx, and supervisord with its programs, and waits for their end. @throws CutoverError supervisor_unreachable */
  stop(): Promise<void>;
}

/**
 * Starts a supervisord and an nginx of the agent's own under a directory, as the agent's user. Both outlive the agent. If they
 * run already, they are used.
 * @throws CutoverError host_settings_invalid, supervisor_unreachable, supervisor_config_broken, nginx_unreachable
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

/** The path is in files of nginx and supervisor, which have different rules for quotes. So it may need none. */
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
  await writeIfChanged(layout.supervisor.conf, renderSupervisordConf(layout, isRoot));
  await writeIfChanged(layout.nginx.conf, renderNginxConf(layout, isRoot));
  await writeIfChanged(layout.nginx.uwsgiParams, renderUwsgiParams());
  if ((await readIfExists(layout.agentSettings)) === undefined) {
    // If the agent runs as root, so does its nginx. Without root, files keep the group of the agent's user.
    const text = renderAgentSettings(layout, { listen, names }, { binary: nginx, group: "root" });
    await writeDurably(layout.agentSettings, text, 0o644);
  }
}

async function writeIfChanged(path: string, text: string): Promise<void> {
  if ((await readIfExists(path)) !== text) await writeDurably(path, text, 0o644);
}
