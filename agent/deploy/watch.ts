import { statusExpected } from "../../shared/config.ts";
import { CutoverError } from "../../shared/errors.ts";
import type { Logger } from "../logger.ts";
import type { Ports, RunSpec } from "../ports.ts";
import type { AppSettings } from "../settings.ts";
import type { AppState } from "./state.ts";
import { healthHost, runSpec } from "./work.ts";

const everyMs = 2000;
/** A check that fails once may be a moment's load; this many in a row are a fault. */
const failuresInARow = 3;
const checkMs = 5000;
const logLines = 60;

interface Parts {
  ports: Ports;
  log: Logger;
  stateOf(app: string): Promise<AppState>;
  /** Takes the canary of this deployment back. */
  fail(deployment: string, reason: CutoverError): Promise<void>;
}

/** Follows the health of each canary while it has a part of the traffic, whoever gave it that and wherever they are now. */
export class CanaryWatch {
  readonly #parts: Parts;
  readonly #watched = new Map<string, { run: string; stop: AbortController }>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Called whenever a deployment has ended, and at start. */
  async schedule(app: string): Promise<void> {
    const { staged } = await this.#parts.stateOf(app);
    const wanted = staged !== null && staged.weight > 0 ? staged.run : undefined;
    const watched = this.#watched.get(app);
    if (watched?.run === wanted) return;
    watched?.stop.abort();
    this.#watched.delete(app);
    if (wanted === undefined || staged === null) return;
    const stop = new AbortController();
    this.#watched.set(app, { run: wanted, stop });
    void this.#watch(app, wanted, staged.deployment, stop.signal);
  }

  close(): void {
    for (const { stop } of this.#watched.values()) stop.abort();
    this.#watched.clear();
  }

  async #watch(app: string, run: string, deployment: string, signal: AbortSignal): Promise<void> {
    const { ports, log, stateOf, fail } = this.#parts;
    const pids = new Map<string, number>();
    try {
      const spec = await runSpec({ ports, state: await stateOf(app) }, run);
      const settings = await ports.apps.settings(app);
      for (let failures = 0; failures < failuresInARow; ) {
        await ports.clock.sleep(everyMs, signal);
        const fault = await faultOf(ports, settings, spec, pids);
        signal.throwIfAborted();
        failures = fault === undefined ? 0 : failures + 1;
        if (fault === undefined) continue;
        log.warn({ app, run, fault, failures }, "the canary's check failed");
        if (failures === failuresInARow) await fail(deployment, await canaryFailed(ports, spec, fault));
      }
    } catch (err) {
      if (!signal.aborted) log.error({ err, app, run }, "the canary could not be watched");
    } finally {
      if (this.#watched.get(app)?.run === run) this.#watched.delete(app);
    }
  }
}

/** What is wrong with a run that serves; undefined when nothing is. A restart counts: it has cut what was in hand. */
async function faultOf(
  ports: Ports,
  settings: AppSettings,
  { app, run, config, ...spec }: RunSpec,
  pids: Map<string, number>,
): Promise<string | undefined> {
  const programs = await ports.privileged.programs(app, run);
  if (programs === undefined) return "supervisor does not know its instances";
  for (const { name, state, pid } of programs) {
    if (state !== "RUNNING") return `${name} is ${state}`;
    const first = pids.get(name) ?? pid;
    pids.set(name, first);
    if (first !== pid) return `${name} was restarted`;
  }
  const { path, expect } = config.health;
  const request = { path, host: healthHost(config, settings), timeoutMs: checkMs };
  for (const instance of await ports.privileged.instances({ app, run, config, ...spec })) {
    const answer = await ports.probe.check(instance, request);
    if (answer.kind === "unreachable") return `${instance.name} did not answer GET ${path}: ${answer.reason}`;
    if (!statusExpected(expect, answer.status)) return `${instance.name} answered ${answer.status} to GET ${path}`;
  }
  return undefined;
}

async function canaryFailed(ports: Ports, { app, run, release }: RunSpec, fault: string): Promise<CutoverError> {
  const evidence = await ports.logs.tail(app, run, logLines).catch(() => []);
  return new CutoverError("canary_failed", `The canary ${release} failed its checks: ${fault}.`, {
    unchanged: "All traffic went back to the live release; the canary was drained, stopped and removed.",
    fix: "Look at its instances' logs below. Correct it and deploy again.",
    evidence: evidence.filter(({ text }) => text.trim() !== ""),
  });
}
