import { type Config, siteOf } from "../../shared/config.ts";
import { portOf } from "../../shared/config-site.ts";
import { reported } from "../../shared/deployment-states.ts";
import { CutoverError } from "../../shared/errors.ts";
import { releaseOfRun } from "../../shared/names.ts";
import type { AppView, DeploymentView } from "../../shared/protocol.ts";
import type { Ports } from "../contracts/ports.ts";
import type { ProcessGroup } from "../contracts/privileged.ts";
import type { AppSettings } from "../settings.ts";
import { runSpec } from "./context.ts";
import { viewRequests } from "./requests-view.ts";
import { type AppState, openDeployment, rollbackTarget } from "./state.ts";
import type { Restarts } from "./watch/restarts.ts";

interface Parts {
  ports: Ports;
  settings: AppSettings;
  state: AppState;
  running: DeploymentView | undefined;
  restarts: Restarts;
}

type InstanceView = AppView["instances"][number];

/**
 * The status of an app: its state, what supervisor and the kernel say of its instances, where its slots lead. If supervisord
 * does not answer, the view has all the rest.
 */
export async function viewApp({ ports, settings, state, running, restarts }: Parts): Promise<AppView> {
  const runs = [state.live, state.staged?.run, state.warm?.run].filter((run) => typeof run === "string");
  const instances: InstanceView[] = [];
  const supervisord = new Asked();
  // Once for all runs: if the traffic moved between two looks, a slot would count for both.
  const slots = await ports.traffic.assigned(state.app);
  for (const run of runs) instances.push(...(await viewRun({ ports, state, supervisord, slots }, run)));
  const processes = await supervisord.ask(() => ports.privileged.processes(state.app));
  for (const group of processes ?? []) instances.push(...viewProcess(group));
  const live = state.live === null ? undefined : await runSpec({ ports, state }, state.live);
  const maintenance = await ports.maintenance.state(state.app);
  const requests = await viewRequests(ports.requests, state, { seconds: 60, now: ports.clock.now() });
  const open = running === undefined ? openView(state) : undefined;
  const blocked = state.held ?? open?.why;
  return {
    app: state.app,
    live: state.live,
    staged: state.staged?.run ?? null,
    weight: state.staged?.weight ?? 0,
    staged_by: state.staged?.deployment ?? null,
    warm: state.warm,
    previous: rollbackTarget(state) ?? null,
    urls: urlsOf(live?.config, settings),
    ...(blocked !== undefined && { held: blocked }),
    ...(maintenance !== undefined && { maintenance }),
    ...(await unbuilt(ports, state)),
    ...(supervisord.problem !== undefined && { problem: supervisord.problem }),
    ...(requests !== undefined && { requests }),
    ...withRestarts(instances, restarts, state),
    releases: state.releases.toReversed(),
    deployment: running ?? open?.deployment ?? state.history[0] ?? null,
    host: await ports.system.view(),
  };
}

/** A question that the helper does not answer says nothing of the environment. */
async function unbuilt(ports: Ports, { app, live }: AppState): Promise<Pick<AppView, "unbuilt">> {
  const isThere = live === null || (await ports.environments.present(app, releaseOfRun(live)).catch(() => true));
  return isThere ? {} : { unbuilt: true };
}

/** What stayed open, and is tried again, is the app's deployment now. */
function openView({ journal }: AppState): { deployment: DeploymentView; why: string } | undefined {
  if (journal === null || journal.onward !== undefined) return undefined;
  const { state } = journal.deployment;
  return { deployment: { ...journal.deployment, state: reported(state) }, why: openDeployment(journal) };
}

/** A supervisord that does not answer once is not asked again: each question may take ten seconds. */
class Asked {
  problem: string | undefined;

  async ask<T>(question: () => Promise<T>): Promise<T | undefined> {
    if (this.problem !== undefined) return undefined;
    try {
      return await question();
    } catch (thrown) {
      if (!(thrown instanceof CutoverError && thrown.code === "supervisor_unreachable")) throw thrown;
      this.problem = thrown.message;
      return undefined;
    }
  }
}

interface RunParts {
  ports: Ports;
  state: AppState;
  supervisord: Asked;
  /** How many slots lead to each address. */
  slots: Map<string, number>;
}

async function viewRun({ ports, state, supervisord, slots }: RunParts, run: string): Promise<InstanceView[]> {
  const spec = await runSpec({ ports, state }, run);
  const instances = await ports.privileged.instances({ ...spec, release: releaseOfRun(run) });
  const programs = (await supervisord.ask(() => ports.privileged.programs(state.app, run))) ?? [];
  const connections = await ports.connections.count(instances.map(({ address }) => address));
  return instances.map(({ name, address }) => {
    const program = programs.find((candidate) => candidate.name === name);
    return {
      name,
      run,
      state: program?.state ?? "UNKNOWN",
      ...(program !== undefined && program.pid > 0 && { pid: program.pid, uptime: program.uptime }),
      connections: connections.get(address) ?? 0,
      slots: slots.get(address) ?? 0,
    };
  });
}

/** Only those of the live run are counted. */
function withRestarts(
  instances: InstanceView[],
  restarts: Restarts,
  { app, live }: AppState,
): Pick<AppView, "instances" | "restarts_since"> {
  if (live === null) return { instances };
  const { counts, since } = restarts.of(app, live);
  const counted = instances.map((one) => {
    const count = one.run === live ? (counts.get(one.name) ?? 0) : 0;
    return count === 0 ? one : { ...one, restarts: count };
  });
  return { instances: counted, ...(since !== undefined && { restarts_since: since }) };
}

/** Also an old one that still finishes its job. */
function viewProcess({ run, process, programs }: ProcessGroup): InstanceView[] {
  return programs.map(({ name, state, pid, uptime }) => ({
    name,
    run,
    process,
    state,
    ...(pid > 0 && { pid, uptime }),
    connections: 0,
    slots: 0,
  }));
}

function urlsOf(config: Config | undefined, settings: AppSettings): string[] {
  if (config?.site === "none") return [];
  const site = config && siteOf(config);
  const names = (site?.server_name ?? settings.domains).filter((name) => name !== "_" && !name.startsWith("*"));
  return (site?.listen ?? settings.listen).flatMap((address) => {
    const [text = "", ssl] = String(address).split(" ");
    const port = portOf(address);
    const host = text.includes(":") ? text.slice(0, text.lastIndexOf(":")) : "localhost";
    const scheme = ssl === undefined ? "http" : "https";
    const suffix = port === (ssl === undefined ? 80 : 443) ? "/" : `:${port}/`;
    return (names.length > 0 ? names : [host]).map((name) => `${scheme}://${name}${suffix}`);
  });
}
