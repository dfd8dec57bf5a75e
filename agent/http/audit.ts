import { asCutoverError } from "../../shared/errors.ts";
import type { Actor, AuditEntry } from "../../shared/protocol.ts";
import type { AuditLog } from "../contracts/ports.ts";
import { refusalOf } from "./auth/refusal.ts";

type Asked = Partial<Pick<AuditEntry, "what" | "app" | "by" | "deployment" | "release" | "weight">>;

/** What of one call goes into the audit log: the deployment that it begins, what else it did, or why it was refused. */
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

  /** What is known of the call so far; more may follow. */
  asks(asked: Asked): void {
    this.#asked = { ...this.#asked, ...asked };
  }

  /** On disk before the deployment has an effect. How it ends is told by its last event, also after a restart of the agent. */
  async begun(deployment: string): Promise<void> {
    this.#begun = true;
    await this.#record({ event: "begun", deployment });
  }

  /** @param error what the call was refused with */
  async answered(error: unknown): Promise<void> {
    const { what } = this.#asked;
    if (this.#begun || what === undefined) return;
    if (error !== undefined) {
      const reason = refusalOf(error);
      const refused = this.#record({
        event: "refused",
        code: asCutoverError(error).code,
        ...(reason !== undefined && { reason }),
      });
      // Nobody without a token makes others wait for the disk.
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

/** What changes nothing, or is a deployment's call that was answered with the deployment it has already. */
const silent = new Set(["read", "deploy", "activate", "redeploy", "rollback"]);
