import { readFile, statfs } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname } from "node:path";
import { groupId } from "../../host/ownership/users.ts";
import { Interpreters, pipVersion } from "../../host/python/interpreter.ts";
import type { AgentSettings } from "../../settings.ts";
import { appFacts, strayEnvFiles } from "./apps.ts";
import { certificateFacts } from "./certificates.ts";
import type { AgentFacts, AppFacts, HostFacts, PythonFacts } from "./facts.ts";
import { helperFacts } from "./helper.ts";
import { loopbackFault } from "./loopback.ts";
import { mountOf } from "./mounts.ts";
import { nginxFacts } from "./nginx.ts";
import { entryOf } from "./paths.ts";
import { supervisorFacts } from "./supervisor.ts";
import { unitFacts } from "./units.ts";
import { webhookFileFacts } from "./webhooks.ts";

export interface HostFactsOptions {
  settings: AgentSettings;
  appsDir: string;
  agent: AgentFacts;
  version: string;
  now: number;
  upgrade: boolean;
}

/** Looks at the host, changes nothing, and judges nothing. */
export async function hostFacts({ settings, appsDir, ...asked }: HostFactsOptions): Promise<HostFacts> {
  const apps = await appFacts(appsDir, settings);
  const [nginx, supervisor, pythons, disk] = await Promise.all([
    nginxFacts(settings),
    supervisorFacts(settings),
    pythonFacts(settings, apps),
    diskFacts(settings.data),
  ]);
  return {
    ...asked,
    settings,
    apps,
    helper: await helperFacts(settings, appsDir, apps),
    units: await unitFacts(dirname(appsDir)),
    strayEnvFiles: await strayEnvFiles(appsDir, apps),
    nginx,
    ownGroup: await nginxGroup(settings),
    supervisor,
    certificates: await certificateFacts(settings, apps, nginx.configuration),
    webhookFiles: await webhookFileFacts(settings, apps),
    directories: await directoryFacts(settings, apps),
    pythons,
    loopback: await loopbackFault(),
    ephemeral: await ephemeralPorts(),
    processors: availableParallelism(),
    disk,
  };
}

async function ephemeralPorts(): Promise<HostFacts["ephemeral"]> {
  const text = await readFile("/proc/sys/net/ipv4/ip_local_port_range", "utf8").catch(() => "");
  const [first, last] = text.trim().split(/\s+/).map(Number);
  return first === undefined || last === undefined ? undefined : { first, last };
}

/** Whether the agent is root shows in the owner of its data directory, whoever runs doctor. */
async function nginxGroup({ data, nginx }: AgentSettings): Promise<HostFacts["ownGroup"]> {
  const made = await entryOf(data);
  if (made !== undefined && made.uid !== 0) return "not root";
  const gid = await groupId(nginx.group).catch(() => "none" as const);
  return gid ?? "not root";
}

async function directoryFacts({ nginx }: AgentSettings, apps: AppFacts[]): Promise<HostFacts["directories"]> {
  const logs = {
    named: "nginx.log_dir in agent.yml",
    path: nginx.log_dir,
    purpose: "nginx refuses every site that logs there, so every deploy fails.",
  };
  const answers = apps.flatMap(({ file, settings }) => {
    const path = settings?.acme_challenge;
    const purpose = "The ACME client cannot write its answers, so it cannot renew the certificate.";
    return path === undefined ? [] : [{ named: `acme_challenge in ${file}`, path, purpose }];
  });
  return Promise.all([logs, ...answers].map(async (each) => ({ ...each, entry: await entryOf(each.path) })));
}

async function pythonFacts({ python_path }: AgentSettings, apps: AppFacts[]): Promise<PythonFacts[]> {
  const interpreters = new Interpreters(python_path);
  // The version of a deploy that asks for none, and the versions that the live releases ask for.
  const versions = new Set([
    undefined,
    ...apps.flatMap(({ live }) => (live === undefined ? [] : [live.python.version])),
  ]);
  return Promise.all(
    [...versions].map(async (version) => {
      const found = await interpreters.find(version).catch(() => undefined);
      return {
        version,
        apps: apps.filter(({ live }) => live !== undefined && live.python.version === version).map(({ app }) => app),
        found: found && { path: found.path, version: found.version, pip: await pipVersion(found) },
      };
    }),
  );
}

/** Free space of the data directory, or of the nearest directory above it that exists. */
async function diskFacts(data: string): Promise<HostFacts["disk"]> {
  for (let path = data; ; path = path.slice(0, path.lastIndexOf("/"))) {
    const found = await statfs(path || "/").catch(() => undefined);
    if (found !== undefined)
      return {
        ...{ path: data, free: found.bavail * found.bsize, inodes: found.files === 0 ? Infinity : found.ffree },
        mount: await mountOf(path || "/"),
      };
    if (path === "" || path === "/") return undefined;
  }
}
