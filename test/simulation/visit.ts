import type { HealthAnswer, Visit } from "../../agent/contracts/ports.ts";
import type { Effects } from "./effects.ts";
import type { Host } from "./host.ts";
import type { Worker } from "./nginx.ts";

/** What a visitor gets from nginx, as agent/host/net/visit.ts asks it: over the site's address, with its name. */
export async function visit(host: Host, effects: Effects, wanted: Visit): Promise<HealthAnswer> {
  const random = host.chances.of("visit");
  const worker = await effects.look(() => host.nginx.accepting(random.next()));
  if (worker === undefined) return nobody;
  // A name that no site has is answered by the first site of the address.
  const app = worker.names.get(wanted.host) ?? [...worker.upstreams.keys()][0];
  if (app === undefined) return nobody;
  if (host.disk(app).maintenance !== undefined) return answered(503);
  const instance = listenerFor(host, app, worker, random.next());
  if (instance === undefined) return answered(502);
  if (instance.mode === "hangs") {
    await effects.wait(wanted.timeoutMs);
    return { kind: "unreachable", reason: "no answer in time", how: "silent" };
  }
  return answered(instance.well ? 200 : 500);
}

const nobody: HealthAnswer = { kind: "unreachable", reason: "nobody listens", how: "absent" };

/** By `proxy_next_upstream error`: where nobody listens, the next slot is asked, until all were. */
function listenerFor(host: Host, app: string, worker: Worker, first: number) {
  const { main } = worker.upstreams.get(app) ?? { main: [] };
  for (let tried = 0; tried < main.length; tried++) {
    const server = main[(first + tried) % main.length];
    const instance = server === undefined ? undefined : host.listener(host.resolveOne(app, server));
    if (instance?.listens) return instance;
  }
  return undefined;
}

function answered(status: number): HealthAnswer {
  return { kind: "status", status, body: "", location: undefined };
}
