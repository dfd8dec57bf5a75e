import { randomBytes } from "node:crypto";
import { sandboxTools } from "./sandbox.ts";

export interface SessionRequest {
  app: string;
  uid: number;
  gid: number;
  /** The program and its arguments. */
  words: string[];
  /** Whether it gets a terminal of its own. Otherwise it has the three streams, none of which may be a terminal. */
  terminal: boolean;
}

export interface Session {
  argv: string[];
  env: Record<string, string>;
  /** The words that send a signal to the command; undefined if the process itself can get it. */
  signal: ((name: NodeJS.Signals) => string[]) | undefined;
}

/** A fixed text: what differs is in the environment, and is no word of an app's. */
const become =
  'exec setpriv --reuid "$uid" --regid "$gid" --init-groups --inh-caps=-all -- "$node" "$launcher" "$file"';

/**
 * How root starts a command as another user, in a session that is not root's own. In root's session the command could open
 * /dev/tty and push characters into its input (TIOCSTI), which root's shell would then run.
 */
export async function ownSession(request: SessionRequest, env: Record<string, string>): Promise<Session> {
  const { systemd } = await sandboxTools();
  if (systemd !== undefined) return bySystemd(request, env);
  return request.terminal ? byScript(request, env) : byProcess(request, env);
}

/**
 * systemd-run of Debian 12 (252) asks the kernel whether the terminal has more output as soon as the unit has ended, and does
 * not see what the kernel still passes on: one short command in thirty showed nothing. So the unit ends a moment after the
 * command. The shell outlives the signals that the terminal or `systemctl kill` sends to all, and has the command's exit code.
 */
const endsLater = 'trap : HUP INT QUIT TERM; "$@"; code=$?; sleep 0.2; exit "$code"';

/** A unit of its own: systemd starts it, so it inherits nothing, and nothing of it is left when it ends. */
export function bySystemd({ app, uid, gid, words, terminal }: SessionRequest, env: Record<string, string>): Session {
  const unit = `cutover-exec-${randomBytes(8).toString("hex")}.service`;
  const options = ["--quiet", terminal ? "--pty" : "--pipe", "--wait", "--collect", "--service-type=exec"];
  const properties = [`Description=cutover exec ${app}`, `User=${uid}`, `Group=${gid}`];
  return {
    argv: [
      "systemd-run",
      ...options,
      `--unit=${unit}`,
      ...properties.map((each) => `--property=${each}`),
      "--",
      ...(terminal ? ["/bin/sh", "-c", endsLater, "sh"] : []),
      ...words,
    ],
    env,
    signal: (name) => ["systemctl", "kill", `--signal=${name}`, unit],
  };
}

/** script(1) has the outer end of the terminal, and becomes the program at the inner end after it has dropped root. */
export function byScript({ uid, gid, words }: SessionRequest, env: Record<string, string>): Session {
  const [node = "", launcher = "", file = ""] = words;
  return {
    argv: ["script", "--quiet", "--return", "--command", become, "/dev/null"],
    env: { ...env, SHELL: "/bin/sh", uid: String(uid), gid: String(gid), node, launcher, file },
    signal: undefined,
  };
}

/** Without a terminal a session of its own is enough: whoever starts it must detach it. */
export function byProcess({ uid, gid, words }: SessionRequest, env: Record<string, string>): Session {
  const drop = ["--reuid", String(uid), "--regid", String(gid), "--init-groups", "--inh-caps=-all"];
  return { argv: ["setpriv", ...drop, "--", ...words], env, signal: undefined };
}
