import { completePython } from "../../../shared/complete-python.ts";
import { completeServer, kindUnknown } from "../../../shared/complete-server.ts";
import { type Config, configSchema } from "../../../shared/config.ts";
import type { Detection } from "../../../shared/detect/detect.ts";
import { type Project, projectFaults } from "../../../shared/project.ts";
import { unreadHints } from "../../../shared/project-hints.ts";
import { readYaml, type YamlFault } from "../../../shared/yaml-file.ts";

export interface CheckFault {
  line: number;
  column: number;
  severity: "error" | "warning";
  message: string;
}

export interface CheckResult {
  /** `app` and the kind of its server, if the file can be read. */
  app?: string;
  kind?: string;
  faults: CheckFault[];
  /** The file as it is meant, if it can be read. */
  config?: Config;
}

/** All faults of a cutover.yml, by itself and together with its project. */
export function checkConfig(text: string, project: Project): CheckResult {
  let detection: Detection | undefined;
  const read = readYaml(text, configSchema, (value) => {
    const completed = completeServer(completePython(value, project).value, project);
    detection = completed.detection;
    return completed.value;
  });
  if (read.kind !== "good") {
    return {
      faults: read.faults.map((fault) => ({ ...fault, ...explained(fault, detection), severity: "error" as const })),
    };
  }
  const found = [...projectFaults(read.value, project), ...unreadHints(read.value, project)];
  const faults = found.map(({ path, message, severity }) => ({
    ...read.at(path),
    severity,
    message: `${path.join(".")}: ${message}`,
  }));
  const sorted = faults.toSorted((a, b) => a.line - b.line || a.column - b.column);
  return { app: read.value.app, kind: read.value.server.kind, faults: sorted, config: read.value };
}

/** If the server is not given, the message also has what was looked for in the project. */
function explained({ message }: YamlFault, detection: Detection | undefined): { message: string } {
  const open = /^server(?:\.kind)?: is required and missing/.test(message);
  if (!open || detection === undefined || detection.found) return { message };
  return { message: `server.kind: ${kindUnknown("the file", detection).message}` };
}
