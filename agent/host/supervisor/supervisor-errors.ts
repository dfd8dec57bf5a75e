import { isUtf8 } from "node:buffer";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { CutoverError } from "../../../shared/errors.ts";
import { listIfExists } from "../store/read-if-exists.ts";
import { HttpStatusError, XmlRpcFault } from "./xml-rpc.ts";

/** supervisor's own numbers for what went wrong. */
export const faultCodes = { shutdown: 6, badName: 10, alreadyAdded: 90, stillRunning: 91, cantReread: 92 } as const;

/** Whether an error of a call has this fault as its cause. */
export function isFault(error: unknown, code: number): boolean {
  const { cause } = error as { cause?: unknown };
  return cause instanceof XmlRpcFault && cause.faultCode === code;
}

/** Whether supervisord answered, and would not do it. */
export function isRefusal(error: unknown): boolean {
  const { cause } = error as { cause?: unknown };
  return cause instanceof XmlRpcFault && cause.faultCode !== faultCodes.shutdown;
}

/** Whether supervisord wants a name and a password, which the agent does not have. */
export function asksForPassword(error: unknown): boolean {
  return error instanceof HttpStatusError && error.status === 401;
}

export const passwordFix =
  "Remove `username` and `password` from [unix_http_server] in supervisord.conf: the mode and owner of its socket (`chmod=0700`) already say who may call. Then, at a quiet moment, restart supervisord (`systemctl restart supervisor`), which stops all its programs and starts them again.";

/** Why a call failed, for a person: supervisord cannot read its files, refused, or did not answer. */
export async function explainFailure(
  error: unknown,
  { method, socket, confDir }: { method: string; socket: string; confDir: string },
): Promise<CutoverError> {
  if (error instanceof XmlRpcFault && error.faultCode === faultCodes.cantReread) {
    const message = plain(error.message);
    const file = brokenPlace(error.message) ?? (await suspect(confDir, error.message));
    return new CutoverError(
      "supervisor_config_broken",
      `supervisord cannot read its configuration${file === undefined ? "" : ` (${file})`}: ${message}`,
      {
        unchanged: "supervisord keeps running the programs that it has.",
        fix: `Correct or remove ${file ?? `the file in ${confDir} that the message is about`}. Until then supervisord would not start after a reboot.`,
        cause: new XmlRpcFault(error.faultCode, message),
      },
    );
  }
  if (error instanceof XmlRpcFault && error.faultCode !== faultCodes.shutdown) {
    return new CutoverError("internal", `supervisord refused ${method}: ${plain(error.message)}`, { cause: error });
  }
  return new CutoverError("supervisor_unreachable", `${reason(error)} (socket ${socket}).`, {
    unchanged: "The programs that supervisord runs were not changed.",
    fix: `${fixFor(error)}${privateTmp(error, socket)}`,
    cause: error,
  });
}

/** supervisord has no such group although its file is written: another configuration, or another supervisord. */
export function groupNotIncluded(group: string, confDir: string, cause: unknown): CutoverError {
  return new CutoverError(
    "supervisor_config_broken",
    `supervisord has read its configuration, but did not find ${group} in it.`,
    {
      unchanged: "supervisord keeps running the programs that it has.",
      fix: `supervisord.conf needs \`${confDir}/*.conf\` in the \`files\` of its one [include], and after that \`supervisorctl update\`; agent.yml must name its socket and its directory (supervisor.socket, supervisor.conf_dir). Check that no second supervisord answers.`,
      cause,
    },
  );
}

/**
 * A fault's text is `CANT_REREAD: <message>`. The message quotes what is wrong, which may be a line with a password, and it
 * goes into a workflow's log. So only names of files, sections and options stay in it.
 */
function plain(message: string): string {
  const text = message.replace(/^[A-Z_]+: /, "");
  const value = /^Format string .* for '([\w:.-]+)' (?:contains names|is badly formatted)/s.exec(text)?.[1];
  if (value !== undefined) return `${value} has a % that is not doubled, or an unknown %(name)s.`;
  const [head = ""] = text.split("\n");
  return head
    .replace(/\bin value '.*'(?= in section |$)/, "in a value")
    .replace(/'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/g, (quoted) =>
      /^'(?:\/[^']*\.(?:conf|ini)|[a-z-]+:[\w:.-]+)'$/.test(quoted) ? quoted : "'...'",
    );
}

/** The file and line that supervisor's message names. */
function brokenPlace(message: string): string | undefined {
  const file = /'([^'\n]+\.(?:conf|ini))'/.exec(message)?.[1];
  const line = /\[line:? +(\d+)\]|line: (\d+)/.exec(message);
  if (file !== undefined) return line === null ? file : `${file}:${line[1] ?? line[2]}`;
  return undefined;
}

/** If the message names no file: the first one that is not UTF-8, or that holds the section in the message. */
async function suspect(confDir: string, message: string): Promise<string | undefined> {
  const section = /\[([^\]\n]+)\]/.exec(message)?.[0];
  const names = (await listIfExists(confDir).catch(() => [])).filter((name) => name.endsWith(".conf")).toSorted();
  for (const file of names.map((name) => join(confDir, name))) {
    const bytes = await readFile(file).catch(() => undefined);
    if (bytes === undefined) continue;
    if (!isUtf8(bytes) || (section !== undefined && bytes.includes(section))) return file;
  }
  return undefined;
}

function reason(error: unknown): string {
  const { code, name } = error as NodeJS.ErrnoException;
  if (code === "ENOENT") return "supervisord is not running: its socket is not there";
  if (code === "ECONNREFUSED") return "supervisord is not running: nothing listens on its socket";
  if (code === "EPIPE" || code === "ECONNRESET") return "supervisord ended or was restarted during the call";
  if (code === "EACCES") return "the agent has no permission to open supervisord's socket";
  if (name === "AbortError" || name === "TimeoutError") return "supervisord did not answer in time";
  if (error instanceof XmlRpcFault) return "supervisord is shutting down";
  if (asksForPassword(error)) return "supervisord asks for a name and a password";
  return `supervisord's answer was not understood: ${error instanceof Error ? error.message : String(error)}`;
}

/** The service has a /tmp of its own, in which a socket of the host's is not. */
function privateTmp(error: unknown, socket: string): string {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT" || !/^\/(?:var\/)?tmp\//.test(socket)) return "";
  return " The agent's service has a /tmp of its own: let supervisord make its socket in /run, or run `cutover doctor --fix` on the host.";
}

function fixFor(error: unknown): string {
  if (asksForPassword(error)) return passwordFix;
  if ((error as NodeJS.ErrnoException).code === "EACCES") {
    return "Run the agent as root, or as the user that owns supervisord's socket.";
  }
  return "Start supervisord (`systemctl start supervisor`), and check that `supervisor.socket` in agent.yml is the socket of its [unix_http_server].";
}
