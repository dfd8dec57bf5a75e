import { asCutoverError } from "../../shared/errors.ts";
import type { Actor, AuditEntry } from "../../shared/protocol.ts";
import type { AuditLog } from "../contracts/ports.ts";
import { refusalOf } from "./auth/refusal.ts";

type Asked = Partial<Pick<AuditEntry, "what" | "app" | "by" | "deployment" | "release" | "weight">>;

/** Writes one call into the audit log: the deployment that it begins, the change that it made, or why it was refused. */
export class Audit {
  readonly #log: AuditLog | undefined;
  readonly #reference: string;
  #asked: Asked = {};
  #begun = false;

  constructor(log: AuditLog | undefined, reference: string) {
    this.#log = log;
    this.#reference = reference;
  }

  get actor(): Actor | undefined {
    return this.#asked.by;
  }

  /** Adds what is known about the call so far; later calls may add more. */
  asks(asked: Asked): void {
    this.#asked = { ...this.#asked, ...asked };
  }

  /** On disk before the deployment has an effect. Its last event records how it ends, also after a restart of the agent. */
  async begun(deployment: string): Promise<void> {
    this.#begun = true;
    await this.#record({ event: "begun", deployment });
  }

  /** @param error the reason for which the call was refused; undefined if it was not */
  async answered(error: unknown): Promise<void> {
    const { what } = this.#asked;
    if (this.#begun || what === undefined) return;
    if (error !== undefined) {
      const reason = refusalOf(error);
      // Nobody refused it: it asked for what is not there, as each first deploy asks for the live release.
      if (what === "read" && reason === undefined) return;
      const refused = this.#record({
        event: "refused",
        code: asCutoverError(error).code,
        ...(reason !== undefined && { reason }),
      });
      // A caller without a good token does not make others wait for the disk.
      if (this.#asked.by !== undefined) await refused;
    } else if (!silent.has(what)) {
      await this.#record({ event: "done" });
    }
  }

  async #record(entry: Pick<AuditEntry, "event"> & Partial<AuditEntry>): Promise<void> {
    const { what = "", app = "" } = this.#asked;
    await this.#log?.record({ ...this.#asked, ...entry, what, app, reference: this.#reference });
  }
}

/** Not recorded when done: they changed nothing, or the call was repeated and got the deployment that it already has. */
const silent = new Set(["read", "deploy", "activate", "redeploy", "rollback"]);
