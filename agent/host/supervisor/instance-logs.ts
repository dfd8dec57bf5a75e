import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { CutoverError } from "../../../shared/errors.ts";
import type { LogsView } from "../../../shared/operator-views.ts";
import type { InstanceLogs } from "../../contracts/ports.ts";
import { effect } from "../../effects.ts";
import { appLayout } from "../store/layout.ts";
import { listIfExists } from "../store/read-if-exists.ts";
import { listSafely, readPart } from "../store/safe-read.ts";
import { type LogPart, type LogPlace, lastPart, partAfter } from "./followed-log.ts";
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
    return Promise.all(
      (await this.#names(app, run)).map(async (name) => ({
        source: basename(name, ".log"),
        text: await tailFile(home, join(directory, name), lines).catch(() => ""),
      })),
    );
  }

  async follow(app: string, run: string, lines: number, after: string): Promise<Required<LogsView>> {
    const { home, runLogs } = appLayout(this.#data, app);
    const directory = runLogs(run);
    const begins = after === "";
    const known = begins ? new Map<string, LogPlace>() : placesOf(run, after);
    const parts = await Promise.all(
      (await this.#names(app, run)).map(async (name) => {
        const source = basename(name, ".log");
        const path = join(directory, name);
        const place = known.get(source);
        const part = begins ? lastPart(home, path, lines) : partAfter(home, path, place);
        // A log that is renamed just now is there at the next look.
        return { source, ...(await part.catch((): LogPart => ({ text: "", place: place ?? noPlace }))) };
      }),
    );
    const next = [run, ...parts.map(({ source, place }) => `${source}:${place.inode}:${place.offset}`)].join(",");
    return { logs: parts.map(({ source, text }) => ({ source, text })), next };
  }

  async #names(app: string, run: string): Promise<string[]> {
    const { home, runLogs } = appLayout(this.#data, app);
    const names = (await listSafely(home, runLogs(run))).filter((name) => name.endsWith(".log"));
    return names.toSorted(new Intl.Collator("en", { numeric: true }).compare);
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

/** Of a log that could not be read yet: what it has is new. */
const noPlace: LogPlace = { inode: 0, offset: 0 };

/** By instance. Those of another run say nothing of this one's logs. */
function placesOf(run: string, after: string): Map<string, LogPlace> {
  const [of, ...places] = after.split(",");
  if (of !== run) return new Map();
  return new Map(
    places.map((text) => {
      const [, source = "", inode, offset] = /^([^:]+):(\d+):(\d+)$/.exec(text) ?? [];
      if (inode === undefined)
        throw new CutoverError("request_invalid", "`after` is not what an answer gave as `next`.");
      return [source, { inode: Number(inode), offset: Number(offset) }];
    }),
  );
}
