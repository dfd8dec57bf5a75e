// The root half of the agent: joins agent/helper with agent/host. systemd starts it, or anything that does the same:
//
// - One process for each connection to a unix socket (mode 0660, root and the agent's group). The connection is its standard
//   input: Accept=yes in the socket unit, StandardInput=socket in the service. It reads and writes only there. So standard
//   output and error must be something else (StandardOutput=journal, StandardError=journal); its log goes to standard error.
// - `cutover-helper --config /etc/cutover/agent.yml --peer %i`: %i ends with the user id of who connected (`<n>-<pid>-<uid>`).
// - As root, with the capabilities to act for the apps' users: CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER
//   CAP_FSETID CAP_KILL and CAP_SYS_PTRACE (to see whose a process is). Not with RestrictSUIDSGID: directories of sockets have
//   the set-group-id bit. If CUTOVER_UNIT names its unit, systemd starts steps and `nginx -t` as units. Otherwise they are its
//   children; then it also needs CAP_SETUID CAP_SETGID, CAP_SYS_ADMIN and namespaces (pid, mnt, net) for steps, and
//   CAP_NET_BIND_SERVICE (`nginx -t` binds what the sites listen on).
// - It must be able to write to `data`, nginx's and supervisor's conf_dir, nginx's logs and pid file (for `nginx -t`), and
//   /run/cutover-helper, its lock.
//
// It ends with its connection, within ten seconds; the agent closes a connection that it has not used for 30 seconds. Only one
// helper works at a time and others wait, so a few connections are enough (MaxConnections=4). It needs node, util-linux and
// coreutils. A helper that is killed takes the steps that it runs with it (KillMode=control-group does no harm).
import { Socket } from "node:net";
import { dirname, join, resolve } from "node:path";
import { Command } from "commander";
import { pino } from "pino";
import packageJson from "../../package.json" with { type: "json" };
import { asCutoverError, CutoverError } from "../../shared/errors.ts";
import { wakeThreadPool } from "../../shared/thread-pool.ts";
import { localHost } from "../host/local-host.ts";
import { userIds } from "../host/ownership/users.ts";
import { AppsDirectory, readAgentSettings } from "../host/store/apps-dir.ts";
import { assertRootOwned, RootApps } from "../host/store/root-settings.ts";
import { createLogger } from "../logger.ts";
import type { AgentSettings } from "../settings.ts";
import { serveConnection } from "./connection.ts";
import { GuardedHost, refused } from "./guarded-host.ts";
import { holdLock } from "./lock.ts";
import { handle } from "./methods.ts";

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
  await assertRootOwned(file);
  const settings = await readAgentSettings(file);
  const logger = createLogger(settings.log_level, pino.destination({ fd: 2, sync: true }));
  const agent = await userIds(settings.agent_user);
  if (agent === undefined) throw noAgentUser(settings);
  const uid = peerUid(peer);
  if (uid !== agent.uid && uid !== 0) throw refused(`it does not answer user ${uid}`);

  const socket = new Socket({ fd: 0, readable: true, writable: true });
  await holdLock(lock, () => process.exit(1));
  const apps = new RootApps(new AppsDirectory(join(dirname(file), "apps")));
  const host = new GuardedHost({ data: settings.data, ...localHost({ settings, apps, agent }) });
  await serveConnection(socket, { handle: (request, context) => handle(host, request, context), version, logger });
}

/** The user id of who connected. systemd puts it into the name of the unit's instance. */
function peerUid(peer: string): number {
  const uid = /^\d+-\d+-(\d+)$/.exec(peer)?.[1];
  if (uid === undefined) throw refused(`--peer does not say who connected: ${JSON.stringify(peer)}`);
  return Number(uid);
}

function noAgentUser({ agent_user: user }: AgentSettings): CutoverError {
  return new CutoverError(
    "host_settings_invalid",
    `This host has no user ${user}, and agent.yml says that the agent runs as this user.`,
    {
      unchanged: "Nothing was changed.",
      fix: `Create it (\`useradd --system ${user}\`), or correct \`agent_user\` in agent.yml.`,
    },
  );
}

const { version } = packageJson;
const program = new Command("cutover-helper")
  .description("Does what cutover-agent asks for and only root may do. A socket unit starts it for each connection.")
  .version(version)
  .option("--config <file>", "the agent's settings; the apps are in apps/ next to it", "/etc/cutover/agent.yml")
  .requiredOption("--peer <name>", "who connected: the unit's instance name, which ends with the user id")
  .option("--lock <dir>", "where one helper waits for another; only root may write there", "/run/cutover-helper");

try {
  await run(program.parse().opts<Options>());
  process.exit(0);
} catch (thrown) {
  const { code, message, fix } = asCutoverError(thrown);
  process.stderr.write(`cutover-helper: ${message} [${code}]${fix === undefined ? "" : `\n${fix}`}\n`);
  process.exit(1);
}
