import type { RunSpec } from "../../contracts/privileged.ts";
import type { DeployContext } from "../context.ts";
import { probeInstance } from "./probe-instance.ts";
import { healthHost, type RunFault } from "./run-health.ts";

/** nginx's proxy_buffer_size: a page of memory. All headers of an answer must fit. */
const nginxBytes = 4096;
const timeoutMs = 5000;

/** Whether an instance answers a visitor with more headers than nginx reads, which is a 502 for everybody. */
export async function largeHeader(context: DeployContext, spec: RunSpec, text: string): Promise<RunFault | undefined> {
  const { ports, settings } = context;
  const asked = { path: spec.config.health.path, host: healthHost(spec.config, settings), timeoutMs };
  for (const instance of await ports.privileged.instances(spec)) {
    const answer = await probeInstance(ports, spec, instance, asked).catch(() => undefined);
    if (answer?.kind !== "status" || (answer.headerBytes ?? 0) <= nginxBytes) continue;
    const size = answer.headerBytes?.toLocaleString("en");
    return {
      text: `${text}: the headers of ${instance.name} have ${size} bytes, and nginx reads ${nginxBytes.toLocaleString("en")}`,
      fix: "Most often it is a cookie: keep less in it, such as a session that is stored on the server.",
    };
  }
  return undefined;
}
