import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { toolPath } from "../host/exec/run-tool.ts";

/** Standard input is the connection. On a socket that is no unix socket the kernel answers with ids that nobody has. */
const ask = `
import socket, struct
connection = socket.socket(fileno=0)
size = struct.calcsize("iII")
pid, uid, gid = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
print(uid if connection.family == socket.AF_UNIX and pid > 0 else "nobody")
`;

/**
 * The id of the user who connected to the socket that is this process's standard input, as the kernel recorded it when they
 * connected (SO_PEERCRED). Node has no call for it, so the host's Python asks, which a host of Python apps has. Nothing that
 * others could change is read: -I leaves out the environment, the directory and the user's packages, -S all packages.
 * @returns undefined if it is no such socket
 */
export async function connectedUser(): Promise<number | undefined> {
  const env = { PATH: toolPath, LC_ALL: "C" };
  const child = spawn("python3", ["-I", "-S", "-c", ask], { stdio: ["inherit", "pipe", "ignore"], env, cwd: "/" });
  const failed = new Promise<never>((_, reject) => child.once("error", reject));
  const answer = await Promise.race([text(child.stdout), failed]);
  return /^\d+\n$/.test(answer) ? Number(answer) : undefined;
}
