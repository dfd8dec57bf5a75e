import { allowOlderHeader, firstHostHeader, leaseHeader } from "../../shared/protocol.ts";
import type { Archive } from "../bundle/bundle.ts";

/** A bundle on its way to a host, to be staged there. */
export interface Upload {
  app: string;
  archive: Pick<Archive, "path" | "size" | "base">;
  releaseCommand: boolean;
  /** false: what runs on the first host alone does not run on this one. */
  firstHost: boolean;
  /**
   * How long the host keeps the app for this deployment after it is staged, from the last time that somebody asked for
   * it.
   */
  leaseMs: number;
  /** Renews the lease: only who has it does. An older agent does not look at it. */
  leaseSecret: string;
  /** Also if a later run of the same workflow has brought the live release. */
  allowOlder: boolean;
  waitMs: number;
  /** Called for each attempt: an agent accepts a token only once. */
  token(): Promise<string>;
  onProgress(sent: number, size: number): void;
  signal: AbortSignal;
}

/** What an older agent does not look at. */
export function uploadHeaders({
  leaseSecret,
  allowOlder,
  firstHost,
}: Pick<Upload, "leaseSecret" | "allowOlder" | "firstHost">): Record<string, string> {
  return {
    [leaseHeader]: leaseSecret,
    ...(allowOlder && { [allowOlderHeader]: "true" }),
    ...(!firstHost && { [firstHostHeader]: "false" }),
  };
}
