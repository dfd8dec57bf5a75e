import type { HostView } from "../../shared/app-view.ts";
import { CutoverError } from "../../shared/errors.ts";
import type { VendoredWheels } from "../python/wheels.ts";

/** Where wheels will be installed, and what is known of it. */
export interface WheelHost {
  name: string;
  view: HostView;
}

type Packed = Pick<VendoredWheels, "files" | "version" | "from">;

/** The glibc of the images that people choose from, the newest first. */
const runners = [
  ["ubuntu-24.04", 39],
  ["ubuntu-22.04", 35],
] as const;
const containers = [
  ["debian:13", 41],
  ["debian:12", 36],
  ["debian:11", 31],
] as const;

/**
 * Refuses wheels that the host could install, but not import, or not even install.
 * @param version the version of Python that the release names; undefined if any will do
 * @throws CutoverError wheels_unfit, with what to change in the workflow
 */
export function checkWheels(wheels: Packed, version: string | undefined, host: WheelHost): void {
  const { name, view } = host;
  if (version !== undefined && view.pythons.length > 0 && !view.pythons.includes(version)) {
    throw unfit(
      `The release is for Python ${version}, and ${name} has ${view.pythons.join(", ")}.`,
      `Write \`python-version: "${view.pythons[0]}"\` below actions/setup-python and \`version: "${view.pythons[0]}"\` below \`python\` in cutover.yml, or install python${version} on the host.`,
    );
  }
  for (const { path } of wheels.files) {
    const file = path.replace("wheels/", "");
    const fault = platformFault(file, wheels, view);
    if (fault !== undefined) throw unfit(`${file} does not fit ${name}: ${fault.what}.`, fault.fix);
  }
}

/** Files whose platform says nothing but the machine: they were built here, and need the C library of this runner. */
export function builtHere(wheels: Pick<Packed, "files">): string[] {
  return wheels.files
    .map(({ path }) => path.replace("wheels/", ""))
    .filter((file) => platformsOf(file).every((platform) => platform.startsWith("linux_")));
}

function platformFault(file: string, { from }: Packed, view: HostView): { what: string; fix: string } | undefined {
  const platforms = platformsOf(file);
  if (platforms.includes("any")) return undefined;
  const fitting = platforms.filter((platform) => platform.endsWith(`_${view.machine}`));
  if (fitting.length === 0) {
    return {
      what: `it is for another processor than ${view.machine}`,
      fix: `Run the job on a ${view.machine} runner: \`runs-on\` in the workflow.`,
    };
  }
  const needed = fitting.map((platform) => neededGlibc(platform, from.libc)).filter((minor) => minor !== undefined);
  const own = minorOf(view.glibc ?? "");
  if (needed.length === 0 || own === undefined) {
    const alike = needed.length === 0 && own === undefined;
    return alike ? undefined : { what: "it is for another C library", fix: containerFix(own) };
  }
  const least = Math.min(...needed);
  if (least <= own) return undefined;
  const built = fitting.some((platform) => platform.startsWith("linux_"));
  const why = built ? "it was built on this runner, whose glibc is" : "it needs glibc";
  return { what: `${why} 2.${least}, and the host has 2.${own}`, fix: runnerFix(own) };
}

/** The minor version of glibc that a platform needs; undefined for another C library. */
function neededGlibc(platform: string, libc: string): number | undefined {
  const [, minor] = /^manylinux_2_(\d+)_/.exec(platform) ?? [];
  if (minor !== undefined) return Number(minor);
  const [, old] = /^manylinux(1|2010|2014)_/.exec(platform) ?? [];
  if (old !== undefined) return { "1": 5, "2010": 12, "2014": 17 }[old];
  return platform.startsWith("linux_") ? minorOf(libc) : undefined;
}

/** Of `glibc 2.36`, or `2.36`. */
function minorOf(libc: string): number | undefined {
  const [, minor] = /^(?:glibc )?2\.(\d+)/.exec(libc) ?? [];
  return minor === undefined ? undefined : Number(minor);
}

/** name-version[-build]-python-abi-platform.whl; the platform may be several, with dots. */
function platformsOf(file: string): string[] {
  return (
    file
      .replace(/\.whl$/, "")
      .split("-")
      .at(-1) ?? ""
  ).split(".");
}

function runnerFix(own: number): string {
  const runner = runners.find(([, minor]) => minor <= own)?.[0];
  return runner === undefined
    ? containerFix(own)
    : `Write \`runs-on: ${runner}\` for this job; or ${lowerFirst(containerFix(own))}`;
}

function containerFix(own: number | undefined): string {
  const image =
    containers.find(([, minor]) => own !== undefined && minor <= own)?.[0] ?? "an image of the host's system";
  return `Run the job in a container as old as the host: \`container: ${image}\`, with its python3, python3-pip and git.`;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

function unfit(message: string, fix: string): CutoverError {
  return new CutoverError("wheels_unfit", message, { unchanged: "Nothing was sent.", fix });
}
