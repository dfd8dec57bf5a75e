import { isAbsolute, join } from "node:path";
import { childrenOf, commandLine, processRuns, readPidFile } from "../../host/exec/processes.ts";
import { runTool, type ToolResult } from "../../host/exec/run-tool.ts";
import type { AgentSettings } from "../../settings.ts";
import { type Directive, parseNginxDump, settingOf } from "../nginx-config.ts";
import type { Identity } from "../permissions.ts";
import type { NginxFacts } from "./facts.ts";
import { identityOf, namesIn } from "./paths.ts";
import { identityOfProcess, limitOf } from "./processes.ts";

export async function nginxFacts({ nginx }: AgentSettings): Promise<NginxFacts> {
  const files = await namesIn(nginx.conf_dir);
  const places = [
    ...(nginx.prefix === undefined ? [] : ["-p", nginx.prefix]),
    ...(nginx.conf === undefined ? [] : ["-c", nginx.conf]),
  ];
  const run = (option: string): Promise<ToolResult | undefined> =>
    runTool(nginx.binary, [option, ...places]).catch(() => undefined);
  const tested = await run("-T");
  const built = (await run("-V"))?.stderr ?? "";
  const ok = tested?.code === 0;
  const { main = nginx.conf, directives } = parseNginxDump(ok ? tested.stdout : "");
  const pidFile = tested && pidFileOf(directives, built, nginx.prefix);
  const pid = pidFile === undefined ? undefined : await readPidFile(pidFile);
  const runs = pid !== undefined && (await processRuns(pid)) && (await commandLine(pid)).startsWith("nginx: master");
  return {
    test: tested && { ok, output: tested.stderr },
    configuration: directives,
    main,
    built,
    pidFile,
    master: runs ? { pid, openFiles: await limitOf(pid, "Max open files") } : undefined,
    worker: (runs ? await runningWorker(pid) : undefined) ?? (tested && (await configuredWorker(directives, built))),
    files,
  };
}

function pidFileOf(directives: Directive[], built: string, given: string | undefined): string | undefined {
  const named = settingOf(directives, "pid");
  if (named !== undefined && isAbsolute(named)) return named;
  const prefix = given ?? /--prefix=(\S+)/.exec(built)?.[1] ?? "/usr/local/nginx";
  return join(prefix, named ?? /--pid-path=(\S+)/.exec(built)?.[1] ?? "logs/nginx.pid");
}

async function runningWorker(master: number): Promise<Identity | undefined> {
  for (const pid of await childrenOf(master)) {
    const title = await commandLine(pid);
    if (title.startsWith("nginx: worker process") && !title.endsWith("is shutting down")) {
      return identityOfProcess(pid, "nginx's workers");
    }
  }
  return undefined;
}

async function configuredWorker(directives: Directive[], built: string): Promise<Identity | undefined> {
  const user = settingOf(directives, "user") ?? /--user=(\S+)/.exec(built)?.[1] ?? "nobody";
  const identity = await identityOf(user);
  return identity && { ...identity, name: "nginx's workers" };
}
