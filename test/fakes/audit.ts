import type { AuditLog, AuditQuery } from "../../agent/contracts/ports.ts";
import type { AuditEntry } from "../../shared/protocol.ts";

/** An audit log in memory. */
export class AuditInMemory implements AuditLog {
  readonly entries: AuditEntry[] = [];
  /** What it was asked for, in order. */
  readonly queries: AuditQuery[] = [];

  async record(entry: Omit<AuditEntry, "at">): Promise<void> {
    this.entries.push({ at: "2026-11-21T10:30:00.000Z", ...entry });
  }

  async read(query: AuditQuery): Promise<AuditEntry[]> {
    this.queries.push(query);
    return this.entries;
  }
}
