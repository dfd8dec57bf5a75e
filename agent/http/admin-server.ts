import { chmod, chown, lstat, mkdir, unlink } from "node:fs/promises";
import { connect } from "node:net";
import { dirname } from "node:path";
import { CutoverError } from "../../shared/errors.ts";
import { createHttpServer, listening, type RunningServer, running, type ServerOptions } from "./server.ts";

export interface AdminSocketOptions extends ServerOptions {
  path: string;
  /** Whoever may open the socket may make every call: 0600, or 0660 with a group of operators. */
  mode?: 0o600 | 0o660;
  gid?: number;
}

/** Thrown when another agent runs: nginx and supervisord belong to that one, and go on. */
export class AnotherAgent extends CutoverError {
  constructor(path: string) {
    super("host_settings_invalid", `Another agent answers on ${path}.`, {
      unchanged: "The agent did not start; the sites go on serving.",
      fix: "Stop the other agent first, or set another `socket` in agent.yml.",
    });
  }
}

/** Linux has 108 bytes for a socket's path, including the closing zero. */
const maxPathBytes = 107;

/**
 * Serves local operators on a unix socket. It removes a socket that a killed agent left, and throws if another agent answers
 * there.
 * @throws CutoverError host_settings_invalid, socket_path_too_long
 */
export async function startAdminServer({
  path,
  mode = 0o600,
  gid,
  ...options
}: AdminSocketOptions): Promise<RunningServer> {
  if (Buffer.byteLength(path) > maxPathBytes) {
    throw new CutoverError(
      "socket_path_too_long",
      `The admin socket's path has more than ${maxPathBytes} bytes: ${path}`,
      {
        unchanged: "The agent did not start; the sites go on serving.",
        fix: "Choose a shorter path for `socket` in agent.yml, or a shorter directory for --embedded.",
      },
    );
  }
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  await removeStale(path);
  const server = createHttpServer(options);
  // Nobody else may open the socket from its first moment on; then the mode is widened. The call binds before it returns, so
  // no other file is created with this mask.
  const before = process.umask(0o177);
  const started = listening(server, { path }, path);
  process.umask(before);
  await started;
  if (gid !== undefined) await chown(path, -1, gid);
  await chmod(path, mode);
  return running(server);
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (found === undefined) return;
  if (!found.isSocket())
    throw refusal(`${path} exists and is not a socket.`, "Move the file away, or change `socket` in agent.yml.");
  if (await answers(path)) throw new AnotherAgent(path);
  await unlink(path);
}

function refusal(message: string, fix: string): CutoverError {
  return new CutoverError("host_settings_invalid", message, {
    unchanged: "The agent did not start; the sites go on serving.",
    fix,
  });
}

function answers(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(path);
  socket.once("connect", () => resolve(true));
  // Only a refused connection proves that nobody listens; a socket that we may not open may be in use.
  socket.once("error", (error: NodeJS.ErrnoException) =>
    resolve(error.code !== "ECONNREFUSED" && error.code !== "ENOENT"),
  );
  return promise.finally(() => socket.destroy());
}
