import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { cpus, freemem, release, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { systemPath } from "../harness/places.ts";
import { runProgram } from "../harness/run.ts";

export interface Machine {
  cpu: string;
  cores: number;
  kernel: string;
  node: string;
  nginx: string;
  supervisor: string;
  gunicorn: string;
  django: string;
  python: string;
  /** Where everything was measured, and what a new file costs there. */
  directory: string;
  newFileMs: number;
}

export async function describeMachine(): Promise<Machine> {
  const pythonVersions =
    "import django, gunicorn, platform; print(django.__version__, gunicorn.__version__, platform.python_version())";
  const [nginx, supervisor, python] = await Promise.all([
    output("nginx", "-v"),
    output("supervisord", "--version"),
    output("/usr/bin/python3", "-c", pythonVersions),
  ]);
  const [django = "?", gunicorn = "?", version = "?"] = python.split(" ");
  return {
    cpu: cpus()[0]?.model.trim() ?? "?",
    cores: cpus().length,
    kernel: release(),
    node: process.versions.node,
    nginx: /nginx\/(\S+)/.exec(nginx)?.[1] ?? "?",
    supervisor,
    gunicorn,
    django,
    python: version,
    directory: tmpdir(),
    newFileMs: newFileMs(tmpdir()),
  };
}

export function machineLine(machine: Machine): string {
  const {
    cpu,
    cores,
    kernel,
    node,
    python,
    nginx,
    supervisor,
    gunicorn,
    django,
    newFileMs: newFile,
    directory,
  } = machine;
  const programs = `Node ${node}, Python ${python}, nginx ${nginx}, supervisor ${supervisor}, gunicorn ${gunicorn}, Django ${django}`;
  return `${cpu}, ${cores} cores, Linux ${kernel}; ${programs}; files in ${directory}, where a new one takes ${newFile.toFixed(2)} ms.`;
}

async function output(...argv: string[]): Promise<string> {
  const { stdout, stderr } = await runProgram(argv, { env: { PATH: systemPath } });
  return (stdout + stderr).trim();
}

/** What the measurement of a 1 GB bundle writes, three times over. */
const roomBytes = 6e9;
const ext4 = 0xef53;

/**
 * Where to measure: the directory for temporary files, unless it is on ext4 without a journal, as small virtual machines
 * have it. There each new file looks at all that were deleted in the last minutes, and takes from 0.02 to 1.5 ms as it
 * comes: the figures would be of that. Then it is memory. A TMPDIR that was given is taken as it is.
 */
export function chooseDirectory(): string {
  const usual = tmpdir();
  const memory = "/dev/shm";
  if ((process.env.TMPDIR ?? "") !== "" || !withoutJournal(usual)) return usual;
  return freemem() > 2 * roomBytes && freeBytes(memory) > roomBytes ? memory : usual;
}

/** The kernel lists the journals of mounted file systems. */
function withoutJournal(directory: string): boolean {
  return statfsSync(directory).type === ext4 && namesIn("/proc/fs/jbd2").length === 0;
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function freeBytes(directory: string): number {
  try {
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize;
  } catch {
    return 0;
  }
}

/** Milliseconds for one new small file, the mean over a thousand. */
export function newFileMs(directory: string): number {
  const parent = mkdtempSync(join(directory, "cutover-files-"));
  try {
    const into = join(parent, "files");
    mkdirSync(into);
    const begun = performance.now();
    for (let number = 0; number < 1000; number++) writeFileSync(join(into, String(number)), "x");
    return (performance.now() - begun) / 1000;
  } finally {
    rmSync(parent, { recursive: true, force: true });
  }
}

/** Waits until the processors have been idle for a second, or for so long: others may work on this machine. */
export async function untilIdle(longestMs: number, idle = 0.75): Promise<void> {
  const deadline = performance.now() + longestMs;
  for (let before = ticks(); performance.now() < deadline; ) {
    await sleep(1000);
    const now = ticks();
    if ((now.idle - before.idle) / Math.max(1, now.all - before.all) >= idle) return;
    before = now;
  }
}

function ticks(): { idle: number; all: number } {
  const fields = readFileSync("/proc/stat", "utf8").split("\n", 1)[0]?.trim().split(/\s+/).slice(1).map(Number) ?? [];
  return { idle: (fields[3] ?? 0) + (fields[4] ?? 0), all: fields.reduce((sum, field) => sum + field, 0) };
}

/** The processor time of a process so far, in milliseconds. */
export function processorOf(pid: number): number {
  const text = readFileSync(join("/proc", String(pid), "stat"), "utf8");
  const [user = 0, system = 0] = text
    .slice(text.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 13)
    .map(Number);
  // The kernel counts hundredths of a second here, on every machine.
  return (user + system) * 10;
}
