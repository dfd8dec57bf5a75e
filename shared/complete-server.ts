import { serverKinds } from "./config-server.ts";
import { type Candidate, type Detection, detectKind, type GivenServer } from "./detect-kind.ts";
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
  const { server = {}, python } = value;
  if (!isMap(server)) return { value };
  const given = givenServer(server);
  const complete = given.kind !== undefined && (given.app !== undefined || given.command !== undefined);
  // A kind that does not exist, or an application that is not a text, is an error and not something to complete.
  const wrong = Object.keys(given).length < ["kind", "app", "command", "bind"].filter((key) => key in server).length;
  if (complete || wrong) return { value };
  const { requirements, system_site_packages: system } = isMap(python) ? python : {};
  const detection = detectKind(files, given, {
    ...(typeof requirements === "string" && { requirements }),
    systemPackages: system === true,
  });
  if (!detection.found) return given.kind === undefined ? { value, detection } : { value };
  return { value: { ...value, server: { ...detection.server, ...server } }, detection };
}

/** One line about what was found, and why. */
export function describeDetection({ server, why }: Detection & { found: true }): string {
  const { kind, app, command, bind } = server;
  const what = [`kind: ${kind}`, app && `app: ${app}`, command && `command: ${command}`, bind && `bind: ${bind}`];
  return `cutover.yml names no server; found ${what.filter(Boolean).join(", ")} (${[...new Set(why)].join(", ")}).`;
}

export function kindUnknown(file: string, { candidates, looked }: Detection & { found: false }): CutoverError {
  const several = candidates.map(describeCandidate);
  const message =
    several.length === 0
      ? `${file} names no server.kind, and the project does not show one. Looked for: ${looked.join("; ")}.`
      : `${file} names no server.kind, and the project shows more than one: ${several.join("; ")}.`;
  const [first] = candidates;
  const example = line(first ?? { kind: "gunicorn", app: "shop.wsgi:application" });
  return new CutoverError("kind_unknown", message, {
    unchanged: "Nothing was sent.",
    fix: `Write it into ${file}, such as: server: { ${example} }. The kinds are ${serverKinds.join(", ")}.`,
  });
}

export function describeCandidate({ why, ...server }: Candidate): string {
  return `${line(server)} (${why.join(", ")})`;
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
