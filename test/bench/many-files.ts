import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { print } from "../demo/show.ts";
import { untilIdle } from "./machine.ts";
import { Site } from "./site.ts";
import type { Sizes } from "./sizes.ts";
import { count, type Table, time, verdict } from "./table.ts";
import { median, medianPhases, type Phase } from "./timeline.ts";

/** Milliseconds, for a project of so many files. */
interface FilesFigures {
  files: number;
  /** The first deploy of all, which sends every file. */
  first: number;
  /** Of one changed file. */
  total: number;
  unpack: number;
  phases: Phase[];
}

export interface ManyFilesFigures {
  sizes: FilesFigures[];
}

/** In milliseconds, by the number of files. */
const targets: Record<number, { total: number; unpack?: number }> = {
  30000: { total: 4000, unpack: 500 },
  100000: { total: 8000 },
};
const unpackPhase = "upload, unpack, verify each file";

/** Deploys of one changed file in projects of very many small files, of which the app itself reads two. */
export async function measureManyFiles({ idleMs, manyFiles }: Sizes): Promise<ManyFilesFigures> {
  const sizes: FilesFigures[] = [];
  for (const files of manyFiles.counts) {
    await using site = await Site.open("many");
    writeManyFiles(site.project.path, files);
    const { begun, cutOver } = await site.deploy();
    print(`  ${count(files)} files, first deploy: ${time(cutOver - begun)}`);
    const rounds: { total: number; phases: Phase[] }[] = [];
    for (let round = 0; round < manyFiles.rounds; round++) {
      await untilIdle(idleMs);
      changeOne(site.project.path, round + 2);
      const deploy = await site.deploy();
      rounds.push({ total: deploy.cutOver - deploy.begun, phases: deploy.phases });
      print(`  round ${round + 1} of ${manyFiles.rounds}: ${time(deploy.cutOver - deploy.begun)}`);
    }
    const phases = medianPhases(rounds.map((round) => round.phases));
    const unpack = phases.find(({ name }) => name === unpackPhase)?.ms ?? Number.NaN;
    sizes.push({ files, first: cutOver - begun, total: median(rounds.map(({ total }) => total)), unpack, phases });
  }
  return { sizes };
}

const config = {
  app: "many",
  server: { kind: "gunicorn", app: "many:application", instances: 2, workers: 1 },
  health: { path: "/", host: "localhost" },
  python: { wheels: "none", system_site_packages: true },
  watch: "0s",
  keep_warm: "0s",
};

const source = `from version import VERSION
def application(environ, start):
    start("200 OK", [])
    return [VERSION.encode()]
`;

/** A hundred files to a directory; every tenth is Python. */
function writeManyFiles(project: string, files: number): void {
  writeFileSync(join(project, "cutover.yml"), stringify(config));
  writeFileSync(join(project, "many.py"), source);
  changeOne(project, 1);
  for (let number = 0; number < files - 3; number++) {
    const directory = join(project, "data", `part_${Math.floor(number / 100)}`);
    if (number % 100 === 0) mkdirSync(directory, { recursive: true });
    const name = number % 10 === 0 ? `module_${number}.py` : `text_${number}.txt`;
    writeFileSync(join(directory, name), `value_${number} = ${number}\n`.repeat(1 + (number % 40)));
  }
}

function changeOne(project: string, number: number): void {
  writeFileSync(join(project, "version.py"), `VERSION = "v${number}"\n`);
}

export function manyFilesTable({ sizes }: ManyFilesFigures): Table {
  const names = (sizes[0]?.phases ?? []).map(({ name }) => name);
  const row = (what: string, figure: (size: FilesFigures) => number | undefined) => [
    what,
    ...sizes.map((size) => time(figure(size) ?? 0)),
  ];
  return {
    title: "Deploy of one changed file in very many",
    head: ["phase", ...sizes.map(({ files }) => `${count(files)} files`)],
    rows: [
      ...names.map((name) => row(name, ({ phases }) => phases.find((phase) => phase.name === name)?.ms)),
      row("from starting the Action to the last slot moved", ({ total }) => total),
      row("the first deploy of all", ({ first }) => first),
    ],
    notes: sizes.flatMap(({ files, total, unpack }) => {
      const target = targets[files];
      if (target === undefined) return [];
      const whole = verdict(total <= target.total, `${count(files)} files: target ${time(target.total)}`);
      if (target.unpack === undefined) return [`${whole}.`];
      return [`${whole};`, `${verdict(unpack <= target.unpack, `of it unpacking ${time(target.unpack)}`)}.`];
    }),
  };
}
