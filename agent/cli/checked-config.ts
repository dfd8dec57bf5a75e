import { configSchema } from "../../shared/config.ts";
import { type Project, projectFaults } from "../../shared/project.ts";
import { readYaml } from "../../shared/yaml-file.ts";
import { detect } from "./detect.ts";

export interface CheckFault {
  line: number;
  column: number;
  severity: "error" | "warning";
  message: string;
}

export interface CheckResult {
  /** `app` and the kind of its server, where the file can be read. */
  app?: string;
  kind?: string;
  faults: CheckFault[];
}

/** All that is wrong with a cutover.yml, by itself and beside its project. */
export function checkConfig(text: string, project: Project): CheckResult {
  const read = readYaml(text, configSchema, (value) => withDetected(value, project));
  if (read.kind !== "good") {
    return { faults: read.faults.map((fault) => ({ ...fault, severity: "error" as const })) };
  }
  const faults = projectFaults(read.value, project).map(({ path, message, severity }) => ({
    ...read.at(path),
    severity,
    message: `${path.join(".")}: ${message}`,
  }));
  const sorted = faults.toSorted((a, b) => a.line - b.line || a.column - b.column);
  return { app: read.value.app, kind: read.value.server.kind, faults: sorted };
}

/** A file may leave its server out; the Action finds it in the project as we do here. */
function withDetected(value: unknown, project: Project): unknown {
  if (!isMapping(value)) return value;
  const { server = {} } = value;
  if (!isMapping(server) || server.kind !== undefined) return value;
  const found = detect(project);
  if (found === undefined) return value;
  const { why: _, ...parts } = found;
  return { ...value, server: { ...parts, ...server } };
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
