import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parse } from "yaml";
import { print } from "../demo/show.ts";
import { type HealthQuestion, measureBoot } from "./boot.ts";
import { untilIdle } from "./machine.ts";
import { changeOneFile, type ProjectSize, writeProject } from "./project.ts";
import { configure, Site } from "./site.ts";
import type { Sizes } from "./sizes.ts";
import { count, size, type Table, time, verdict } from "./table.ts";
import { median, medianPhases, type Phase } from "./timeline.ts";

/** Milliseconds throughout. */
export interface DeployFigures {
  project: ProjectSize;
  /** The first deploy of all, which gets the wheels and makes the environments. */
  first: number;
  rounds: { total: number; boot: number; phases: Phase[] }[];
  total: number;
  boot: number;
  /** The median of what each deploy took longer than the boot beside it. */
  overhead: number;
  phases: Phase[];
  /** What the releases on the host take together, environments left out, in bytes; and what the first took alone. */
  disk: { releases: number; bytes: number; alone: number };
}

export const overheadTarget = 700;
/** Of five releases, in bytes. */
export const diskTarget = 50_000_000;
/**
 * Of five releases, as a share of what one takes: 50 MB for a release of 40 MB. The project's 42 MB become 53 MB with the collected
 * static files and the bytecode, and 60 MB in blocks of 4 KiB, so that one release alone misses the target in bytes.
 */
export const diskShareTarget = 1.25;

/** Deploys of one changed file, each beside a boot of the same app without cutover. */
export async function measureDeploys({ idleMs, deploy: { rounds, project: scale } }: Sizes): Promise<DeployFigures> {
  await using site = await Site.open("market");
  const directory = site.project.path;
  const project = writeProject(directory, scale);
  // As deploys are that come further apart than keep_warm: the instances before the live ones are gone.
  configure(directory, { keep_warm: "0s" });
  const { health } = parse(readFileSync(join(directory, "cutover.yml"), "utf8")) as { health: HealthQuestion };
  const { begun, cutOver } = await site.deploy();
  print(`  first deploy: ${time(cutOver - begun)}`);
  const { bytes: alone } = await site.diskOfReleases();
  const measured: DeployFigures["rounds"] = [];
  for (let round = 0; round < rounds; round++) {
    await untilIdle(idleMs);
    const boot = await measureBoot(await site.liveLaunchDirectory(), health);
    await sleep(500);
    await untilIdle(idleMs);
    changeOneFile(directory, round + 2);
    const deploy = await site.deploy();
    const total = deploy.cutOver - deploy.begun;
    measured.push({ total, boot, phases: deploy.phases });
    print(
      `  round ${round + 1} of ${rounds}: deploy ${time(total)}, boot ${time(boot)}, over boot ${time(total - boot)}`,
    );
  }
  const disk = { ...(await site.diskOfReleases()), alone };
  return { project, first: cutOver - begun, rounds: measured, ...summary(measured), disk };
}

export function summary(rounds: DeployFigures["rounds"]) {
  return {
    total: median(rounds.map(({ total }) => total)),
    boot: median(rounds.map(({ boot }) => boot)),
    overhead: median(rounds.map(({ total, boot }) => total - boot)),
    phases: medianPhases(rounds.map(({ phases }) => phases)),
  };
}

export function deployTable({ project, rounds, first, total, boot, overhead, phases, disk }: DeployFigures): Table {
  return {
    title: `Deploy of one changed file: a Django project of ${count(project.files)} files, ${size(project.bytes)}, wheels unchanged`,
    head: ["phase", "time"],
    rows: [
      ...phases.map(({ name, ms }) => [name, time(ms)]),
      ["from starting the Action to the last slot moved", time(total)],
      ["the app's own boot, without cutover", time(boot)],
      ["over boot", time(overhead)],
      ["disk of one release", size(disk.alone)],
      [`disk of ${disk.releases} releases that differ in one file`, size(disk.bytes)],
    ],
    notes: [
      `${verdict(overhead <= overheadTarget, `Target boot + ${time(overheadTarget)}`)};`,
      `${verdict(disk.bytes <= diskTarget, `at most ${size(diskTarget)} of disk`)};`,
      `${verdict(disk.bytes <= disk.alone * diskShareTarget, `at most ${diskShareTarget} times the disk of one release`)}.`,
      `Medians of ${rounds.length} deploys, alternating with boots; the first deploy of all took ${time(first)}.`,
    ],
  };
}
