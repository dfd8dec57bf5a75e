// The root half of the agent: joins agent/helper with agent/host. systemd starts it, or anything that does the same:
//
// - One process for each connection to a unix socket (mode 0660, root and the agent's group) in a directory where only root can
//   write: systemd changes the owner of its path, and follows links. The connection is its standard input: Accept=yes in the
//   socket unit, StandardInput=socket in the service. It reads and writes only there. So standard output and error must be
//   something else (StandardOutput=journal, StandardError=journal); its log goes to standard error.
// - `cutover-helper --config /etc/cutover/agent.yml`. It asks the kernel who connected.
// - As root, with the capabilities to act for the apps' users: CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER
//   CAP_FSETID CAP_KILL, CAP_SYS_PTRACE (to see whose a process is) and CAP_SYS_NICE (without it instances boot at the full
//   share). Not with RestrictSUIDSGID: directories of sockets have the set-group-id bit. If CUTOVER_UNIT names its unit, systemd
//   starts steps and `nginx -t` as units. Otherwise they are its
//   children; then it also needs CAP_SETUID CAP_SETGID, CAP_SYS_ADMIN and namespaces (pid, mnt, ipc, net) for steps, and
//   CAP_NET_BIND_SERVICE (`nginx -t` binds what the sites listen on).
// - It must be able to write to `data`, nginx's and supervisor's conf_dir, nginx's logs and pid file (for `nginx -t`), and
//   /run/cutover-helper, its lock, where nobody else may enter.
//
// It ends with its connection, within ten seconds; the agent closes a connection that it has not used for 30 seconds. Only one
// helper works at a time and others wait, a minute at most and while their connection lives, so a few connections are enough
// (MaxConnections=8). One that hangs for a minute is killed. It needs node, python3, util-linux, coreutils and acl. A helper
// that is killed takes the steps that it runs with it (KillMode=control-group does no harm).
import { Socket } from "node:net";
import { dirname, join, resolve } from "node:path";
import { Command, Option } from "commander";
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
import { longestRequest } from "./messages.ts";
import { handle } from "./methods.ts";
import { connectedUser } from "./peer.ts";

interface Options {
  config: string;
  lock: string;
}

/** An agent waits as long for a greeting. */
const lockMs = 60_000;
/** A helper whose event loop stands still for so long hangs, and is killed. */
const hangMs = 60_000;

async function run({ config, lock }: Options): Promise<void> {
  using _awake = wakeThreadPool();
  process.umask(0o022);
  process.chdir("/");
  const file = resolve(config);
  await assertRootOwned(file);
  const settings = await readAgentSettings(file);
  const logger = createLogger(settings.log_level, pino.destination({ fd: 2, sync: true }));
  const agent = await userIds(settings.agent_user);
  if (agent === undefined) throw noAgentUser(settings);
  const uid = await connectedUser();
  if (uid !== agent.uid && uid !== 0)
    throw refused(`it does not answer ${uid === undefined ? "what is no unix socket" : `user ${uid}`}`);

  const socket = new Socket({ fd: 0, readable: true, writable: true });
  const { signal, resume } = endOfPeer(socket);
  await holdLock(lock, { waitMs: lockMs, hangMs, signal, onLost: () => process.exit(1) });
  resume();
  const apps = new RootApps(new AppsDirectory(join(dirname(file), "apps")));
  const host = new GuardedHost({ data: settings.data, ...localHost({ settings, apps, agent }) });
  const whole = await serveConnection(socket, {
    handle: (request, context) => handle(host, request, context),
    ...{ version, logger },
  });
  // An ordinary exit would wait for a thread that hangs in the kernel, and keep the lock.
  if (!whole) process.kill(process.pid, "SIGKILL");
}

/**
 * Notices that the agent is gone while its helper waits for its turn. Only a read finds that out.
 * @returns `resume` puts back what was read until then; whoever reads on must listen before the next turn of the event loop
 */
function endOfPeer(socket: Socket): { signal: AbortSignal; resume(): void } {
  const gone = new AbortController();
  const early: Buffer[] = [];
  const keep = (bytes: Buffer) => {
    early.push(bytes);
    // An agent sends nothing before it is greeted.
    if (early.reduce((sum, { length }) => sum + length, 0) > longestRequest) socket.destroy();
  };
  const end = () => gone.abort(refused("the connection ended"));
  socket.on("data", keep).once("end", end).once("close", end);
  return {
    signal: gone.signal,
    resume() {
      socket.off("data", keep).off("end", end).off("close", end);
      if (early.length > 0) socket.unshift(Buffer.concat(early));
    },
  };
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
  // A unit of an earlier release gives it. It decides nothing: the name of a unit's instance has no documented form.
  .addOption(new Option("--peer <name>").hideHelp())
  .option("--lock <dir>", "where one helper waits for another; only root may write there", "/run/cutover-helper");

try {
  await run(program.parse().opts<Options>());
  process.exit(0);
} catch (thrown) {
  const { code, message, fix } = asCutoverError(thrown);
  process.stderr.write(`cutover-helper: ${message} [${code}]${fix === undefined ? "" : `\n${fix}`}\n`);
  process.exit(1);
}
