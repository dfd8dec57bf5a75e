import { serverKinds } from "./config-server.ts";
import { type Detection, detectKind, type GivenServer } from "./detect/detect.ts";
import type { Candidate } from "./detect/findings.ts";
import { usualUwsgiFile } from "./detect/server-settings.ts";
import { CutoverError } from "./errors.ts";
import type { ProjectFiles } from "./project-clues.ts";

export interface Completed {
  /** cutover.yml, completed with what was found. */
  value: unknown;
  /** Absent if the file leaves nothing out. */
  detection?: Detection;
}

/**
 * Looks for `server.kind` and the application if cutover.yml leaves them out. Other faults of the file do not matter
 * here.
 */
export function completeServer(value: unknown, files: ProjectFiles): Completed {
  if (!isMap(value)) return { value };
  const { server = {}, python, env } = value;
  if (!isMap(server)) return { value };
  const given = givenServer(server);
  const complete = given.kind !== undefined && (given.app !== undefined || given.command !== undefined);
  // A kind that does not exist, or an application that is not a text, is an error and not something to complete.
  const wrong = Object.keys(given).length < ["kind", "app", "command", "bind"].filter((key) => key in server).length;
  if (complete || wrong) return { value: withUwsgiFile(value, server, files) };
  const { requirements, system_site_packages: system } = isMap(python) ? python : {};
  const detection = detectKind(files, given, {
    ...(typeof requirements === "string" && { requirements }),
    systemPackages: system === true,
  });
  if (!detection.found) return given.kind === undefined ? { value, detection } : { value };
  const { extra, env: needed } = detection;
  return {
    value: {
      ...value,
      server: { ...detection.server, ...server },
      ...completed("python", python, extra.length > 0 ? { extra } : {}),
      ...completed("env", env, needed),
    },
    detection,
  };
}

/** As gunicorn reads its own file by itself. */
function withUwsgiFile(value: Record<string, unknown>, server: Record<string, unknown>, files: ProjectFiles): unknown {
  const file = server.kind === "uwsgi" && !("config_file" in server) ? usualUwsgiFile(files) : undefined;
  return file === undefined ? value : { ...value, server: { ...server, config_file: file } };
}

/** A map of cutover.yml with what was found; what the file says itself is kept, and what is no map is left to the schema. */
function completed(key: string, given: unknown, found: Record<string, unknown>): Record<string, unknown> {
  if (Object.keys(found).length === 0 || (given !== undefined && given !== null && !isMap(given))) return {};
  return { [key]: { ...found, ...(isMap(given) ? given : {}) } };
}

/** One line about what was found, and why. */
export function describeDetection({ server, extra, why }: Detection & { found: true }): string {
  const { kind, app, command, bind } = server;
  const added = extra.length > 0 && `python.extra: [${extra.join(", ")}]`;
  const what = [
    `kind: ${kind}`,
    app && `app: ${app}`,
    command && `command: ${command}`,
    bind && `bind: ${bind}`,
    added,
  ];
  return `cutover.yml names no server; found ${what.filter(Boolean).join(", ")} (${[...new Set(why)].join(", ")}).`;
}

export function kindUnknown(file: string, { candidates, looked, reasons }: Detection & { found: false }): CutoverError {
  const several = candidates.map(describeCandidate);
  const [first, second] = candidates;
  const open =
    first === undefined
      ? `the project does not show one. ${[...reasons, ""].join(" ")}Looked for: ${looked.join("; ")}.`
      : second === undefined
        ? `what the project shows cannot start as it is: ${several.join("; ")}.`
        : `the project shows more than one: ${several.join("; ")}.`;
  const message = `${file} names no server.kind, and ${open}`;
  const example = line(first ?? { kind: "gunicorn", app: "shop.wsgi:application" });
  return new CutoverError("kind_unknown", message, {
    unchanged: "Nothing was sent.",
    fix: `Write it into ${file}, such as: server: { ${example} }. The kinds are ${serverKinds.join(", ")}.`,
  });
}

export function describeCandidate({ why, caution, ...server }: Candidate): string {
  return `${line(server)} (${[...new Set(why)].join(", ")}${caution === undefined ? "" : `; but ${caution}`})`;
}

function line({ kind, app, command, bind }: Omit<Candidate, "why">): string {
  const parts = [`kind: ${kind}`];
  if (app !== undefined) parts.push(`app: ${JSON.stringify(app)}`);
  if (command !== undefined) parts.push(`command: ${JSON.stringify(command)}`);
  if (bind !== undefined) parts.push(`bind: ${bind}`);
  return parts.join(", ");
}

function givenServer({ kind, app, command, bind }: Record<string, unknown>): GivenServer {
  const known = serverKinds.find((each) => each === kind);
  return {
    ...(known !== undefined && { kind: known }),
    ...(typeof app === "string" && { app }),
    ...((typeof command === "string" || isTexts(command)) && { command }),
    ...((bind === "socket" || bind === "port") && { bind }),
  };
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}
