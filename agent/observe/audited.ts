import type { AuditEntry, DeploymentEvent } from "../../shared/protocol.ts";
import type { AuditLog, AuditQuery } from "../contracts/ports.ts";

/** The line in the audit log for a deployment that has ended; undefined for any other event. */
export function endOf(event: DeploymentEvent): Omit<AuditEntry, "at"> | undefined {
  if (event.type !== "end") return undefined;
  const { id, app, kind, by, release, weight, outcome, failure, started, finished } = event.deployment;
  return {
    event: "ended",
    what: kind,
    app,
    by,
    deployment: id,
    ...(release !== undefined && { release }),
    ...(weight !== undefined && { weight }),
    outcome,
    ...(failure !== undefined && { code: failure.code }),
    ...(finished !== undefined && { took: Date.parse(finished) - Date.parse(started) }),
  };
}

/** An audit log that also reports each refused token to a listener. */
export class AuditWithRefusals implements AuditLog {
  readonly #log: AuditLog;
  readonly #onRefused: (reason: string) => void;

  constructor(log: AuditLog, onRefused: (reason: string) => void) {
    this.#log = log;
    this.#onRefused = onRefused;
  }

  record(entry: Omit<AuditEntry, "at">): Promise<void> {
    if (entry.reason !== undefined) this.#onRefused(entry.reason);
    return this.#log.record(entry);
  }

  read(query: AuditQuery): Promise<AuditEntry[]> {
    return this.#log.read(query);
  }
}
