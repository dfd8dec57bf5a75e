import { isUtf8 } from "node:buffer";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { CutoverError } from "../../../shared/errors.ts";
import { type Effect, effect } from "../../effects.ts";
import { listIfExists } from "../store/read-if-exists.ts";
import { callXmlRpc, XmlRpcFault, type XmlRpcValue } from "./xml-rpc.ts";

/** supervisor's own numbers for what went wrong. */
const fault = { shutdown: 6, badName: 10, alreadyAdded: 90, stillRunning: 91, cantReread: 92 } as const;

const processInfo = z.object({
  name: z.string(),
  group: z.string(),
  statename: z.string(),
  pid: z.int(),
  /** Seconds since the epoch, by supervisord's clock. */
  start: z.int(),
  now: z.int(),
  spawnerr: z.string(),
  exitstatus: z.int(),
});
export type ProcessInfo = z.output<typeof processInfo>;

const changes = z.tuple([z.tuple([z.array(z.string()), z.array(z.string()), z.array(z.string())])]);

/** The calls that do something. */
const effectOf: Record<string, Effect> = {
  reloadConfig: "programs.reload",
  addProcessGroup: "programs.add",
  startProcessGroup: "programs.start",
  stopProcessGroup: "programs.stop",
  removeProcessGroup: "programs.remove",
};

export interface SupervisorOptions {
  socket: string;
  /** Where cutover's program files lie, for the text of an error. */
  confDir: string;
  timeoutMs?: number;
}

/**
 * supervisord over its unix socket. Every method throws CutoverError: supervisor_unreachable, or
 * supervisor_config_broken where it cannot read its files.
 */
export class Supervisor {
  readonly #options: SupervisorOptions;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /** The process id of supervisord itself. */
  async pid(): Promise<number> {
    return this.#call(z.int(), "getPID");
  }

  /** Reads the configuration files anew. Nothing is started or stopped by it. */
  async reloadConfig(): Promise<{ added: string[]; changed: string[]; removed: string[] }> {
    const [[added, changed, removed]] = await this.#call(changes, "reloadConfig");
    return { added, changed, removed };
  }

  /** @returns false where the group was there already */
  async addProcessGroup(name: string): Promise<boolean> {
    try {
      await this.#call(z.unknown(), "addProcessGroup", name);
      return true;
    } catch (error) {
      if (isFault(error, fault.alreadyAdded)) return false;
      if (isFault(error, fault.badName)) throw this.#notIncluded(name, error);
      throw error;
    }
  }

  /**
   * Starts what is not running and returns at once. After addProcessGroup alone the start would wait for the next turn of
   * supervisord's loop, up to a second.
   */
  async startProcessGroup(name: string): Promise<void> {
    await this.#call(z.unknown(), "startProcessGroup", name, false);
  }

  /** Sends each process of the group its stop signal and returns at once. @returns false where there is no such group */
  async stopProcessGroup(name: string): Promise<boolean> {
    return this.#known(this.#call(z.unknown(), "stopProcessGroup", name, false));
  }

  /** @returns `running` where a process of the group has not ended yet */
  async removeProcessGroup(name: string): Promise<"removed" | "unknown" | "running"> {
    try {
      return (await this.#known(this.#call(z.unknown(), "removeProcessGroup", name))) ? "removed" : "unknown";
    } catch (error) {
      if (isFault(error, fault.stillRunning)) return "running";
      throw error;
    }
  }

  async getAllProcessInfo(): Promise<ProcessInfo[]> {
    return this.#call(z.array(processInfo), "getAllProcessInfo");
  }

  /** The processes of a group, in the order of their names; undefined where there is no such group. */
  async groupInfo(group: string): Promise<ProcessInfo[] | undefined> {
    const processes = (await this.getAllProcessInfo()).filter((process) => process.group === group);
    return processes.length === 0 ? undefined : processes;
  }

  /** Asks supervisord to stop its programs and end. */
  async shutdown(): Promise<void> {
    await this.#call(z.unknown(), "shutdown");
  }

  async #known(call: Promise<unknown>): Promise<boolean> {
    try {
      await call;
      return true;
    } catch (error) {
      if (isFault(error, fault.badName)) return false;
      throw error;
    }
  }

  async #call<T>(answer: z.ZodType<T>, method: string, ...params: XmlRpcValue[]): Promise<T> {
    const { socket, timeoutMs = 10_000 } = this.#options;
    try {
      const call = () => callXmlRpc({ socket, path: "/RPC2", timeoutMs }, `supervisor.${method}`, params);
      const name = effectOf[method];
      return answer.parse(await (name === undefined ? call() : effect(name, call)));
    } catch (error) {
      throw await this.#explain(method, error);
    }
  }

  async #explain(method: string, error: unknown): Promise<CutoverError> {
    const { socket, confDir } = this.#options;
    if (error instanceof XmlRpcFault && error.faultCode === fault.cantReread) {
      const message = plain(error.message);
      const file = brokenPlace(error.message) ?? (await suspect(confDir, error.message));
      return new CutoverError(
        "supervisor_config_broken",
        `supervisord cannot read its configuration${file === undefined ? "" : ` (${file})`}: ${message}`,
        {
          unchanged: "supervisord goes on running the programs that it has.",
          fix: `Correct or remove ${file ?? `the file under ${confDir} that the message is about`}. Until then supervisord would not start after a reboot either.`,
          cause: new XmlRpcFault(error.faultCode, message),
        },
      );
    }
    if (error instanceof XmlRpcFault && error.faultCode !== fault.shutdown) {
      return new CutoverError("internal", `supervisord refused ${method}: ${plain(error.message)}`, { cause: error });
    }
    return new CutoverError("supervisor_unreachable", `${reason(error)} (socket ${socket}).`, {
      unchanged: "The programs that supervisord runs are as they were.",
      fix: fixFor(error),
      cause: error,
    });
  }

  #notIncluded(group: string, cause: unknown): CutoverError {
    const { confDir } = this.#options;
    return new CutoverError(
      "supervisor_config_broken",
      `supervisord has read its configuration, but did not find ${group} in it.`,
      {
        unchanged: "supervisord goes on running the programs that it has.",
        fix: `supervisord.conf needs an [include] section with \`files = ${confDir}/*.conf\`, and its socket and conf_dir must be those that agent.yml names. A second supervisord with another configuration answers otherwise.`,
        cause,
      },
    );
  }
}

function isFault(error: unknown, code: number): boolean {
  const { cause } = error as { cause?: unknown };
  return cause instanceof XmlRpcFault && cause.faultCode === code;
}

/**
 * A fault's text is `CANT_REREAD: <message>`. The message quotes what it does not like, which may be a line with somebody's
 * password, and it goes into a workflow's log: only names of files, sections and options stay.
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

/** The file and line, or the section, that supervisor's message names. */
function brokenPlace(message: string): string | undefined {
  const file = /'([^'\n]+\.(?:conf|ini))'/.exec(message)?.[1];
  const line = /\[line:? +(\d+)\]|line: (\d+)/.exec(message);
  if (file !== undefined) return line === null ? file : `${file}:${line[1] ?? line[2]}`;
  return undefined;
}

/** Where the message names no file: the first one that is not UTF-8, or that holds the section which the message quotes. */
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
  if (code === "EPIPE" || code === "ECONNRESET") return "supervisord ended, or was started anew, while it was asked";
  if (code === "EACCES") return "the agent may not open supervisord's socket";
  if (name === "AbortError" || name === "TimeoutError") return "supervisord did not answer in time";
  if (error instanceof XmlRpcFault) return "supervisord is shutting down";
  return `supervisord's answer was not understood: ${error instanceof Error ? error.message : String(error)}`;
}

function fixFor(error: unknown): string {
  if ((error as NodeJS.ErrnoException).code === "EACCES") {
    return "Run the agent as root, or as the user that owns supervisord's socket.";
  }
  return "Start supervisord (`systemctl start supervisor`), and check that `supervisor.socket` in agent.yml is the socket of its [unix_http_server].";
}
