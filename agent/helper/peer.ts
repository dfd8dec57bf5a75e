import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { CutoverError } from "../../shared/errors.ts";
import { toolPath } from "../host/exec/run-tool.ts";

/**
 * Standard input is the connection. On a socket that is no unix socket the kernel answers with ids that nobody has, and on what
 * is no socket with an error.
 */
const ask = `
import socket, struct
size = struct.calcsize("iII")
try:
    connection = socket.socket(fileno=0)
    pid, uid, gid = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    known = connection.family == socket.AF_UNIX and pid > 0
except OSError:
    known = False
print(uid if known else "nobody")
`;

/** Where a distribution has its own first: one that somebody put into /usr/local, such as pyenv's wrapper, may not run for root. */
const usualPythons = ["/usr/bin/python3", "/bin/python3", "/usr/local/bin/python3", "/usr/local/sbin/python3"];

/**
 * The id of the user who connected to the socket that is this process's standard input, as the kernel recorded it when they
 * connected (SO_PEERCRED). Node has no call for it, so the host's Python asks, which a host of Python apps has. Nothing that
 * others could change is read: -I leaves out the environment, the directory and the user's packages, -S all packages.
 * @returns undefined if it is no such socket
 * @throws CutoverError python_not_found when none of them runs
 */
export async function connectedUser(pythons = usualPythons): Promise<number | undefined> {
  for (const python of pythons) {
    const answer = await answerOf(python);
    if (/^\d+\n$/.test(answer)) return Number(answer);
    if (answer === "nobody\n") return undefined;
  }
  throw new CutoverError(
    "python_not_found",
    `None of ${pythons.join(", ")} runs, and the helper needs one of them to ask the kernel who calls it.`,
    {
      unchanged: "Nothing was changed.",
      fix: "Install the distribution's Python: `apt-get install python3`. Then `systemctl restart cutover-agent`.",
    },
  );
}

/** What a Python says; nothing if there is none, or it does not work. */
async function answerOf(python: string): Promise<string> {
  const env = { PATH: toolPath, LC_ALL: "C" };
  const child = spawn(python, ["-I", "-S", "-c", ask], { stdio: ["inherit", "pipe", "ignore"], env, cwd: "/" });
  const failed = once(child, "error").then(() => "");
  return Promise.race([text(child.stdout), failed]);
}
