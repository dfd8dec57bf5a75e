// The root half of the agent. How it is started, by systemd or anything that does the same:
//
// - one process for each connection to a unix socket (mode 0660, root and the agent's group), the connection as its standard
//   input: Accept=yes in the socket unit, StandardInput=socket in the service. It reads and writes there alone, so standard
//   output and error must be something else (StandardOutput=journal, StandardError=journal): its log goes to standard error.
// - `cutover-helper --config /etc/cutover/agent.yml --peer %i`: %i ends with the user id of who connected (`<n>-<pid>-<uid>`).
// - as root, with the capabilities to act for the apps' users: CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER
//   CAP_FSETID CAP_KILL and CAP_SYS_PTRACE (to see whose a process is). Not with RestrictSUIDSGID (directories of sockets have
//   the group's bit). Where CUTOVER_UNIT names its unit, steps and nginx -t are units that systemd starts. Elsewhere they are
//   its children: then it needs CAP_SETUID CAP_SETGID, CAP_SYS_ADMIN and namespaces (pid, mnt, net) of steps, and
//   CAP_NET_BIND_SERVICE (`nginx -t` binds what the sites listen on).
// - where it may write to `data`, nginx's and supervisor's conf_dir, nginx's logs and pid file (for `nginx -t`), and
//   /run/cutover-helper, its lock.
//
// It ends with its connection, within ten seconds; the agent closes one that it has not used for 30 seconds. Only one is at
// work at a time, others wait: a few connections are enough (MaxConnections=4). It needs node, util-linux and coreutils. A
// helper that is killed takes the steps that it runs with it (KillMode=control-group does no harm).
import { Socket } from "node:net";
import { dirname, join, resolve } from "node:path";
import { Command } from "commander";
import { pino } from "pino";
import packageJson from "../../package.json" with { type: "json" };
import { asCutoverError, CutoverError } from "../../shared/errors.ts";
import { wakeThreadPool } from "../../shared/thread-pool.ts";
import { ReleaseDirectories } from "../host/bundle/releases.ts";
import { userIds } from "../host/ownership/users.ts";
import { LocalPrivileged } from "../host/privileged.ts";
import { PythonEnvironments } from "../host/python/environments.ts";
import { AppsDirectory, readAgentSettings } from "../host/store/apps-dir.ts";
import { SupervisorLogs } from "../host/supervisor/instance-logs.ts";
import { launcherFile } from "../host/supervisor/launch-files.ts";
import { createLogger } from "../logger.ts";
import type { AgentSettings } from "../settings.ts";
import { serveConnection } from "./connection.ts";
import { HelperActs, refused } from "./guarded-host.ts";
import { holdLock } from "./lock.ts";
import { assertRoots, RootApps } from "./root-settings.ts";

interface Options {
  config: string;
  peer: string;
  lock: string;
}

async function run({ config, peer, lock }: Options): Promise<void> {
  using _awake = wakeThreadPool();
  process.umask(0o022);
  process.chdir("/");
  const file = resolve(config);
  await assertRoots(file);
  const settings = await readAgentSettings(file);
  const logger = createLogger(settings.log_level, pino.destination({ fd: 2, sync: true }));
  const agent = await userIds(settings.agent_user);
  if (agent === undefined) throw noAgentUser(settings);
  const uid = peerUid(peer);
  if (uid !== agent.uid && uid !== 0) throw refused(`it does not answer user ${uid}`);

  const socket = new Socket({ fd: 0, readable: true, writable: true });
  await holdLock(lock, () => process.exit(1));
  await serveConnection(socket, { acts: acts(settings, agent, join(dirname(file), "apps")), version, logger });
}

function acts(settings: AgentSettings, agent: { uid: number; gid: number }, appsDir: string): HelperActs {
  const { data, limits } = settings;
  const apps = new RootApps(new AppsDirectory(appsDir));
  const privileged = new LocalPrivileged({ settings, apps, launcher: launcherFile(), agent });
  return new HelperActs({
    data,
    privileged,
    environments: new PythonEnvironments({
      data,
      pythonPath: settings.python_path,
      jobs: limits.jobs,
      runStep: privileged.stepRunner(),
      owner: privileged.buildOwner(),
    }),
    releases: new ReleaseDirectories({ data, limits }),
    logs: new SupervisorLogs(data, settings.supervisor.conf_dir),
  });
}

/** Who connected, as systemd names the instance of a unit after it. */
function peerUid(peer: string): number {
  const uid = /^\d+-\d+-(\d+)$/.exec(peer)?.[1];
  if (uid === undefined) throw refused(`it was not told who connected, but ${JSON.stringify(peer)}`);
  return Number(uid);
}

function noAgentUser({ agent_user: user }: AgentSettings): CutoverError {
  return new CutoverError("host_settings_invalid", `This host has no user ${user}, as which the agent should run.`, {
    unchanged: "Nothing was changed.",
    fix: `Make it (\`useradd --system ${user}\`), or correct \`agent_user\` in agent.yml.`,
  });
}

const { version } = packageJson;
const program = new Command("cutover-helper")
  .description("Does what cutover-agent asks for and root alone may do. Started for each connection, by a socket unit.")
  .version(version)
  .option("--config <file>", "the agent's settings; its apps are in apps/ beside it", "/etc/cutover/agent.yml")
  .requiredOption("--peer <name>", "who connected: the unit's instance name, which ends with the user id")
  .option("--lock <dir>", "where one helper waits for another, root's alone", "/run/cutover-helper");

try {
  await run(program.parse().opts<Options>());
  process.exit(0);
} catch (thrown) {
  const { code, message, fix } = asCutoverError(thrown);
  process.stderr.write(`cutover-helper: ${message} [${code}]${fix === undefined ? "" : `\n${fix}`}\n`);
  process.exit(1);
}
