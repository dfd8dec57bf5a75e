import { open, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import type { InstanceLogs } from "../../contracts/ports.ts";
import { effect } from "../../effects.ts";
import { appLayout } from "../store/layout.ts";
import { listIfExists } from "../store/read-if-exists.ts";
import { runOfProgramsFile } from "./programs-file.ts";

/** At most this many bytes at the end of a file are read, however long its lines are. */
const tailBytes = 64 * 1024;

/** The last lines of a file, without a newline at the end. */
export async function tailFile(path: string, lines: number): Promise<string> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const length = Math.min(size, tailBytes);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
    const all = buffer.toString("utf8", 0, bytesRead).split("\n");
    if (length < size) all.shift();
    if (all.at(-1) === "") all.pop();
    return all.slice(-lines).join("\n");
  } finally {
    await file.close();
  }
}

/** The files in which supervisor logs the output of each instance. */
export class SupervisorLogs implements InstanceLogs {
  readonly #data: string;
  readonly #confDir: string;

  /** @param confDir supervisor's. Logs of a run that has programs there are never removed */
  constructor(data: string, confDir: string) {
    this.#data = data;
    this.#confDir = confDir;
  }

  async tail(app: string, run: string, lines: number): Promise<{ source: string; text: string }[]> {
    const directory = appLayout(this.#data, app).runLogs(run);
    const names = (await listIfExists(directory)).filter((name) => name.endsWith(".log"));
    const order = new Intl.Collator("en", { numeric: true });
    return Promise.all(
      names.toSorted(order.compare).map(async (name) => ({
        source: basename(name, ".log"),
        text: await tailFile(join(directory, name), lines).catch(() => ""),
      })),
    );
  }

  async prune(app: string, keptRuns: string[]): Promise<void> {
    const layout = appLayout(this.#data, app);
    const parent = join(layout.runLogs("x"), "..");
    // supervisord refuses its whole configuration if the directory of one log file is missing.
    const programmed = (await listIfExists(this.#confDir)).map((name) => runOfProgramsFile(app, name));
    const kept = new Set<string | undefined>([...keptRuns, ...programmed]);
    for (const run of await listIfExists(parent)) {
      if (kept.has(run)) continue;
      await effect("logs.collect", () => rm(join(parent, run), { recursive: true, force: true }));
    }
  }
}
