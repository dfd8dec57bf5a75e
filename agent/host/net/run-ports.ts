import { rm } from "node:fs/promises";
import { createServer } from "node:net";
import { z } from "zod";
import { CutoverError } from "../../../shared/errors.ts";
import { appName, runId } from "../../../shared/names.ts";
import { SerialQueue } from "../../../shared/serial-queue.ts";
import { effect } from "../../effects.ts";
import { makeDirectory } from "../ownership/directory.ts";
import { removeUnfinished, syncDirectory, writeDurably } from "../store/durable.ts";
import { appLayout } from "../store/layout.ts";
import { listSafely, readLimits, readSafelyIfExists } from "../store/safe-read.ts";
import { tcpSockets } from "./proc-net.ts";

/** The file of a run's ports: web-0 has the first, web-1 the second. */
const portsFile = z.strictObject({ ports: z.array(z.int().min(1).max(65535)) });

export interface PortRequest {
  app: string;
  run: string;
  count: number;
  /** The ports to choose from, and the settings file that allows them. Called only to choose. @throws CutoverError ports_not_allowed */
  allowed(): Promise<{ ports: number[]; file: string }>;
}

/** The ports of the runs of all apps on this host. On disk, so that nginx and the programs agree after a reboot too. */
export class RunPorts {
  readonly #data: string;
  /** One at a time: two runs must not choose the same. */
  readonly #queue = new SerialQueue();

  /** @param data the agent's data directory */
  constructor(data: string) {
    this.#data = data;
  }

  /** The run's ports; undefined if it has none. */
  ofRun(app: string, run: string): Promise<number[] | undefined> {
    return this.#read(app, run);
  }

  /** The ports of a run that starts. They are chosen now if it has none. @throws CutoverError ports_not_allowed, ports_exhausted */
  of(request: PortRequest): Promise<number[]> {
    return this.#queue.run(async () => (await this.#read(request.app, request.run)) ?? this.#choose(request));
  }

  /** For a run that is about to start: it gets other ports if another program has taken one of its own. @throws CutoverError as `of` */
  ensureFree(request: PortRequest): Promise<number[]> {
    return this.#queue.run(async () => {
      const chosen = await this.#read(request.app, request.run);
      if (chosen === undefined) return this.#choose(request);
      const used = await usedPorts();
      const free = await Promise.all(chosen.map(async (port) => !used.has(port) && (await canListen(port))));
      return free.every(Boolean) ? chosen : this.#choose(request);
    });
  }

  /** Releases the ports of a run. No error if it has none. */
  forget(app: string, run: string): Promise<void> {
    return this.#queue.run(async () => {
      const { home, ports, runPorts } = appLayout(this.#data, app);
      if ((await listSafely(home, ports)).length === 0) return;
      await effect("ports.release", () => rm(runPorts(run), { force: true }));
      await removeUnfinished(runPorts(run));
      await syncDirectory(ports);
    });
  }

  /** The runs of an app that have ports. */
  async runs(app: string): Promise<string[]> {
    const { home, ports } = appLayout(this.#data, app);
    const files = await listSafely(home, ports);
    return files.map((file) => file.replace(/\.json$/, "")).filter((run) => runId.safeParse(run).success);
  }

  /** All ports that runs of an app have. */
  async ofApp(app: string): Promise<number[]> {
    const files = await Promise.all((await this.runs(app)).map((run) => this.#read(app, run)));
    return files.flatMap((ports) => ports ?? []);
  }

  async #read(app: string, run: string): Promise<number[] | undefined> {
    const { home, runPorts } = appLayout(this.#data, app);
    const text = await readSafelyIfExists(home, runPorts(run), readLimits.ports);
    return text === undefined ? undefined : portsFile.parse(JSON.parse(text)).ports;
  }

  async #choose({ app, run, count, allowed }: PortRequest): Promise<number[]> {
    const { ports: range, file } = await allowed();
    const reserved = await this.#reserved();
    const own = reserved.get(range.findLast((port) => reserved.get(port)?.app === app) ?? 0);
    // Not the ports that were released last: start behind those that the app has now, then go on from the beginning.
    const start = own === undefined ? 0 : range.indexOf(own.port) + 1;
    const used = await usedPorts();
    const found: number[] = [];
    const taken: string[] = [];
    for (const port of [...range.slice(start), ...range.slice(0, start)]) {
      if (found.length === count) break;
      const holder = reserved.get(port);
      if (holder !== undefined) taken.push(`${port} (${holder.app} ${holder.run})`);
      else if (used.has(port) || !(await canListen(port))) taken.push(`${port} (another program)`);
      else found.push(port);
    }
    if (found.length < count) throw exhausted({ app, count, free: found.length, range, taken, file });
    const { ports: directory, runPorts } = appLayout(this.#data, app);
    await makeDirectory(directory, { mode: 0o755 });
    const text = `${JSON.stringify({ ports: found })}\n`;
    await effect("ports.reserve", () => writeDurably(runPorts(run), text, 0o644));
    return found;
  }

  /** Which run has each port, for all apps of this host. */
  async #reserved(): Promise<Map<number, { port: number; app: string; run: string }>> {
    const holders = new Map<number, { port: number; app: string; run: string }>();
    const apps = (await listSafely(this.#data, "apps")).filter((name) => appName.safeParse(name).success);
    for (const app of apps) {
      for (const run of await this.runs(app)) {
        for (const port of (await this.#read(app, run)) ?? []) holders.set(port, { port, app, run });
      }
    }
    return holders;
  }
}

/** The ports of all sockets of this machine, on any address; not those of closed connections. */
async function usedPorts(): Promise<Set<number>> {
  return new Set((await tcpSockets()).map(({ port }) => port));
}

/** Finds what the kernel's table does not show: a socket that is bound and does not listen yet. */
function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resolve(true)));
  });
}

interface Shortage {
  app: string;
  count: number;
  free: number;
  range: number[];
  taken: string[];
  file: string;
}

function exhausted({ app, count, free, range, taken, file }: Shortage): CutoverError {
  const shown = taken.slice(0, 20).join(", ") + (taken.length > 20 ? `, and ${taken.length - 20} more` : "");
  return new CutoverError(
    "ports_exhausted",
    `${app} needs ${count} free ports, and ${free} of its ${range.length} are free. Taken: ${shown}.`,
    {
      unchanged: "The live release goes on serving.",
      fix: `Give it a larger or another range: \`ports\` in ${file} on the host.`,
    },
  );
}
