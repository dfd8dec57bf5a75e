import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import type { InstanceLogs } from "../../contracts/ports.ts";
import { effect } from "../../effects.ts";
import { appLayout } from "../store/layout.ts";
import { listIfExists } from "../store/read-if-exists.ts";
import { listSafely, readPart } from "../store/safe-read.ts";
import { runOfProgramsFile } from "./programs-file.ts";

/** At most this many bytes at the end of a file are read, however long its lines are. */
const tailBytes = 64 * 1024;

/** The last lines of a file below `root`, without a newline at the end. @throws as `readPart` */
export async function tailFile(root: string, path: string, lines: number): Promise<string> {
  const { part, size } = await readPart(root, path, { from: -tailBytes, bytes: tailBytes });
  const all = part.toString("utf8").split("\n");
  if (part.length < size) all.shift();
  if (all.at(-1) === "") all.pop();
  return all.slice(-lines).join("\n");
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
    const { home, runLogs } = appLayout(this.#data, app);
    const directory = runLogs(run);
    const names = (await listSafely(home, directory)).filter((name) => name.endsWith(".log"));
    const order = new Intl.Collator("en", { numeric: true });
    return Promise.all(
      names.toSorted(order.compare).map(async (name) => ({
        source: basename(name, ".log"),
        text: await tailFile(home, join(directory, name), lines).catch(() => ""),
      })),
    );
  }

  async prune(app: string, keptRuns: string[]): Promise<void> {
    const layout = appLayout(this.#data, app);
    const parent = join(layout.runLogs("x"), "..");
    // supervisord refuses its whole configuration if the directory of one log file is missing.
    const programmed = (await listIfExists(this.#confDir)).map((name) => runOfProgramsFile(app, name));
    const kept = new Set<string | undefined>([...keptRuns, ...programmed]);
    for (const run of await listSafely(layout.home, parent)) {
      if (kept.has(run)) continue;
      await effect("logs.collect", () => rm(join(parent, run), { recursive: true, force: true }));
    }
  }
}
