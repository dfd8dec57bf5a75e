import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Load } from "./load.ts";
import { checkOptions, type LoadOptions } from "./options.ts";
import type { LoadReport, LoadSnapshot } from "./report.ts";

type Message = ({ type: "snapshot" } & LoadSnapshot) | { type: "report"; report: LoadReport };

const program = fileURLToPath(new URL("main.ts", import.meta.url));
const nothing: LoadSnapshot = { elapsedMs: 0, sent: 0, ok: 0, failed: 0, inFlight: 0, latest: undefined };

/**
 * The same load from another process, so that what the caller does meanwhile is not in the latencies. Resolves when it runs.
 * @param through words before its command line, such as those that enter another network
 */
export async function startLoadProcess(options: LoadOptions, through: string[] = []): Promise<Load> {
  const { timeoutMs, slowMs } = checkOptions(options);
  const [command = "", ...words] = [...through, process.execPath, program, JSON.stringify(options)];
  const child = spawn(command, words, { stdio: ["pipe", "pipe", "inherit"] });
  // A pipe to a process that is gone is no news: its end is reported below.
  child.stdin.on("error", () => undefined);
  let latest = nothing;
  let report: LoadReport | undefined;
  const started = Promise.withResolvers<void>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    const message = JSON.parse(line) as Message;
    if (message.type === "report") report = message.report;
    else latest = message;
    started.resolve();
  });
  const ended = new Promise<void>((resolve) => {
    child.once("error", (error) => {
      started.reject(error);
      resolve();
    });
    child.once("close", (code) => {
      started.reject(new Error(`the load ended with exit code ${code} before it began`));
      resolve();
    });
  });
  await started.promise;

  const finish = async (): Promise<LoadReport> => {
    child.stdin.write("stop\n");
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs + slowMs + 10_000);
    await ended;
    clearTimeout(timer);
    if (report === undefined) throw new Error("the load ended without a report");
    return report;
  };
  let finished: Promise<LoadReport> | undefined;
  const stop = (): Promise<LoadReport> => {
    finished ??= finish();
    return finished;
  };
  return {
    snapshot: () => latest,
    stop,
    async [Symbol.asyncDispose]() {
      await stop().catch(() => undefined);
    },
  };
}
