import { z } from "zod";
import { programStates } from "../../contracts/privileged.ts";
import { type Effect, effect } from "../../effects.ts";
import { explainFailure, faultCodes, groupNotIncluded, isFault, isRefusal } from "./supervisor-errors.ts";
import { callXmlRpc, type XmlRpcValue } from "./xml-rpc.ts";

const processInfo = z.object({
  name: z.string(),
  group: z.string(),
  statename: z.enum(programStates),
  pid: z.int(),
  /** Seconds since the epoch, by supervisord's clock. */
  start: z.int(),
  /** When it last ended, likewise; 0 if it never did. */
  stop: z.int().default(0),
  now: z.int(),
  spawnerr: z.string(),
  exitstatus: z.int(),
});
export type ProcessInfo = z.output<typeof processInfo>;

const changes = z.tuple([z.tuple([z.array(z.string()), z.array(z.string()), z.array(z.string())])]);

/** The calls that change something. */
const effectOf: Record<string, Effect> = {
  reloadConfig: "programs.reload",
  addProcessGroup: "programs.add",
  startProcessGroup: "programs.start",
  startProcess: "programs.start",
  stopProcess: "programs.stop",
  stopProcessGroup: "programs.stop",
  removeProcessGroup: "programs.remove",
};

export interface SupervisorOptions {
  socket: string;
  /** The directory of cutover's program files, for the text of an error. */
  confDir: string;
  timeoutMs?: number;
}

/**
 * supervisord, over its unix socket. Every method throws CutoverError: supervisor_unreachable, or supervisor_config_broken if
 * supervisord cannot read its files.
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

  /** Makes supervisord read its configuration files again. This starts and stops nothing. */
  async reloadConfig(): Promise<{ added: string[]; changed: string[]; removed: string[] }> {
    const [[added, changed, removed]] = await this.#call(changes, "reloadConfig");
    return { added, changed, removed };
  }

  /** @returns false if the group exists already */
  async addProcessGroup(name: string): Promise<boolean> {
    try {
      await this.#call(z.unknown(), "addProcessGroup", name);
      return true;
    } catch (error) {
      if (isFault(error, faultCodes.alreadyAdded)) return false;
      if (isFault(error, faultCodes.badName)) throw groupNotIncluded(name, this.#options.confDir, error);
      throw error;
    }
  }

  /**
   * Starts what does not run, and does not wait. Without this call, an added group would wait for the next turn of
   * supervisord's loop, up to a second.
   */
  async startProcessGroup(name: string): Promise<void> {
    await this.#call(z.unknown(), "startProcessGroup", name, false);
  }

  /** Starts one program, and does not wait. @returns false if supervisord refuses: it runs already, is gone, or has no file */
  async startProcess(group: string, name: string): Promise<boolean> {
    return this.#accepted(this.#call(z.unknown(), "startProcess", `${group}:${name}`, false));
  }

  /** Stops one program, and does not wait. @returns false if supervisord refuses: it does not run, or is gone */
  async stopProcess(group: string, name: string): Promise<boolean> {
    return this.#accepted(this.#call(z.unknown(), "stopProcess", `${group}:${name}`, false));
  }

  /** Sends each process of the group its stop signal, and does not wait. @returns false if there is no such group */
  async stopProcessGroup(name: string): Promise<boolean> {
    return this.#known(this.#call(z.unknown(), "stopProcessGroup", name, false));
  }

  /** @returns `running` if a process of the group has not ended yet */
  async removeProcessGroup(name: string): Promise<"removed" | "unknown" | "running"> {
    try {
      return (await this.#known(this.#call(z.unknown(), "removeProcessGroup", name))) ? "removed" : "unknown";
    } catch (error) {
      if (isFault(error, faultCodes.stillRunning)) return "running";
      throw error;
    }
  }

  async getAllProcessInfo(): Promise<ProcessInfo[]> {
    return this.#call(z.array(processInfo), "getAllProcessInfo");
  }

  /** The processes of a group, sorted by name; undefined if there is no such group. */
  async groupInfo(group: string): Promise<ProcessInfo[] | undefined> {
    const processes = (await this.getAllProcessInfo()).filter((process) => process.group === group);
    return processes.length === 0 ? undefined : processes;
  }

  /** The last bytes of supervisord's own log. */
  async mainLog(bytes: number): Promise<string> {
    return this.#call(z.string(), "readLog", -bytes, 0);
  }

  /** Makes supervisord stop its programs and end. Does not wait for it. */
  async shutdown(): Promise<void> {
    await this.#call(z.unknown(), "shutdown");
  }

  async #known(call: Promise<unknown>): Promise<boolean> {
    try {
      await call;
      return true;
    } catch (error) {
      if (isFault(error, faultCodes.badName)) return false;
      throw error;
    }
  }

  async #accepted(call: Promise<unknown>): Promise<boolean> {
    try {
      await call;
      return true;
    } catch (error) {
      if (isRefusal(error)) return false;
      throw error;
    }
  }

  async #call<T>(answer: z.ZodType<T>, method: string, ...params: XmlRpcValue[]): Promise<T> {
    const { socket, confDir, timeoutMs = 10_000 } = this.#options;
    try {
      const call = () => callXmlRpc({ socket, path: "/RPC2", timeoutMs }, `supervisor.${method}`, params);
      const name = effectOf[method];
      return answer.parse(await (name === undefined ? call() : effect(name, call)));
    } catch (error) {
      throw await explainFailure(error, { method, socket, confDir });
    }
  }
}
