import type { Server, ServerKind } from "../config-server.ts";

/** What a person wrote, or a file shows, about what serves a project. */
export interface Candidate {
  kind: ServerKind;
  app?: string;
  command?: string;
  bind?: "port";
  workers?: number;
  threads?: number;
  /** The server's own file, if the server does not read it by itself. */
  config_file?: string;
  interface?: Exclude<Server["interface"], undefined>;
  /** Variables that it needs, such as PYTHONPATH. */
  env?: Record<string, string>;
  /** Packages that the requirements lack. */
  extra?: string[];
  /** What shows it, in a person's words: `manage.py`, `requirements.txt has gunicorn`. */
  why: string[];
  /** Why it cannot start as it is; then it is never chosen, and a person is told. */
  caution?: string;
}

/** A worker or a scheduler. */
export interface FoundProcess {
  name: string;
  command: string;
  /** A beat: never two at once. */
  overlap?: false;
  stopSignal?: "INT" | "QUIT";
  stopTimeout?: string;
  why: string;
}

/** What one source says, such as the Procfile. */
export interface Findings {
  servers: Candidate[];
  processes: FoundProcess[];
  /** A command that runs before the server starts, such as migrations. */
  release?: { command: string | string[]; why: string };
}

export const none: Findings = { servers: [], processes: [] };

/** Where something stands: `Procfile:1`. */
export function at(file: string, line: number | undefined): string {
  return line === undefined ? file : `${file}:${line}`;
}
