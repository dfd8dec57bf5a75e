import { statusExpected } from "../../../shared/config.ts";
import { milliseconds } from "../../../shared/duration.ts";
import { CutoverError } from "../../../shared/errors.ts";
import type { HealthAnswer } from "../../contracts/ports.ts";
import type { Instance, RunSpec } from "../../contracts/privileged.ts";
import { type DeployContext, interruption } from "../context.ts";
import { healthHost, lastLogLines, maskedEvidence, noPorts } from "../watch/run-health.ts";

const pollMs = 50;
/** An instance that answers is up. Asking it more often would only fill its log with the same traceback. */
const answeredPollMs = 500;
const watchMs = 200;
const unchanged = "The live release goes on serving; the new instances were stopped and removed.";

/**
 * Waits until every instance of the run has answered its health check with an expected status, on its own socket.
 * @throws CutoverError instance_died as soon as one ends; health_failed or health_timeout at the time limit
 */
export async function waitHealthy(context: DeployContext, spec: RunSpec): Promise<void> {
  const instances = await context.ports.privileged.instances(spec);
  if (instances.length === 0) throw died("the run", noPorts);
  const settled = new AbortController();
  const signal = AbortSignal.any([settled.signal, interruption(context)]);
  try {
    const watched = watchPrograms(context, spec, signal);
    const probed = Promise.all(instances.map((instance) => probeUntilHealthy(context, spec, instance, signal)));
    await Promise.race([probed, watched]);
  } catch (thrown) {
    interruption(context).throwIfAborted();
    if (!(thrown instanceof CutoverError)) throw thrown;
    const said = await maskedEvidence(context.ports, spec.app, [
      { source: "", text: thrown.message },
      ...thrown.evidence,
    ]);
    const evidence = [...said.slice(1), ...(await lastLogLines(context.ports, spec))];
    const { unchanged, fix } = thrown;
    // The app has also written a redirect's address.
    throw new CutoverError(thrown.code, said[0]?.text ?? thrown.message, {
      ...(unchanged !== undefined && { unchanged }),
      ...(fix !== undefined && { fix }),
      evidence,
      cause: thrown,
    });
  } finally {
    settled.abort();
  }
}

async function probeUntilHealthy(
  context: DeployContext,
  spec: RunSpec,
  instance: Instance,
  signal: AbortSignal,
): Promise<void> {
  const { clock, probe } = context.ports;
  const { path, expect, timeout } = spec.config.health;
  const host = healthHost(spec.config, context.settings);
  const deadline = clock.elapsed() + milliseconds(timeout);
  let told = "";
  let last: HealthAnswer | undefined;
  for (;;) {
    signal.throwIfAborted();
    const answer = await probe.check(instance, { path, host, timeoutMs: Math.max(deadline - clock.elapsed(), 1) });
    if (answer.kind === "status") {
      last = answer;
      if (statusExpected(expect, answer.status)) return;
      const news = `${instance.name} answers ${answer.status} to GET ${path} with Host ${host}; waiting for ${expect}`;
      if (news !== told) context.deployment.notice(news);
      told = news;
    }
    // The limit cuts the last check short, so the answer before says more.
    if (clock.elapsed() >= deadline) throw unhealthy(instance, last ?? answer, { path, host, expect, timeout });
    await clock.sleep(answer.kind === "status" ? answeredPollMs : pollMs, signal);
  }
}

interface Expectation {
  path: string;
  host: string;
  expect: string;
  timeout: string;
}

function unhealthy(instance: Instance, answer: HealthAnswer, wanted: Expectation): CutoverError {
  const { path, host, expect, timeout } = wanted;
  if (answer.kind === "unreachable") {
    return new CutoverError(
      "health_timeout",
      `${instance.name} did not answer GET ${path} within ${timeout} (${answer.reason}).`,
      {
        unchanged,
        fix: "Look at the instance's log below. If the app needs longer to start, raise `health.timeout`.",
      },
    );
  }
  const location = answer.location === undefined ? "" : ` (to ${answer.location})`;
  return new CutoverError(
    "health_failed",
    `${instance.name} answered ${answer.status}${location} to GET ${path} with Host ${host}; expected ${expect}.`,
    {
      unchanged,
      fix: fixFor(answer.status, host, path),
      evidence: answer.body.trim() === "" ? [] : [{ source: `response of ${instance.name}`, text: answer.body }],
    },
  );
}

function fixFor(status: number, host: string, path: string): string {
  if (status === 400) {
    return `Django answers 400 when the Host is not in ALLOWED_HOSTS: add ${host} there, or set \`health.host\` or \`site.server_name\` in cutover.yml.`;
  }
  if (status === 404) return `The app has no page at ${path}: set \`health.path\` in cutover.yml to one that it has.`;
  if (status === 401 || status === 403) {
    return "Set `health.path` to a page that needs no login, or widen `health.expect`.";
  }
  return "Look at the instance's log below; set `health.path` if another page is a better check.";
}

/** Ends only by throwing: an instance that has ended does not become healthy if one waits. */
async function watchPrograms(context: DeployContext, spec: RunSpec, signal: AbortSignal): Promise<never> {
  const pids = new Map<string, number>();
  for (;;) {
    await assertRunning(context, spec, pids);
    await context.ports.clock.sleep(watchMs, signal);
  }
}

/**
 * @param pids the first pid seen of each instance, filled here; another one later means that it ended and was restarted
 * @throws CutoverError instance_died
 */
export async function assertRunning(
  context: DeployContext,
  spec: RunSpec,
  pids = new Map<string, number>(),
): Promise<void> {
  const programs = await context.ports.privileged.programs(spec.app, spec.run);
  if (programs === undefined) throw died("the run", "supervisor does not know it");
  for (const { name, state, pid, detail } of programs) {
    if (state !== "STARTING" && state !== "RUNNING") {
      throw died(name, `${state}${detail === "" ? "" : `: ${detail}`}`);
    }
    const first = pids.get(name);
    if (first !== undefined && pid !== 0 && pid !== first) throw died(name, "it was restarted");
    if (pid !== 0) pids.set(name, pid);
  }
}

function died(name: string, how: string): CutoverError {
  return new CutoverError("instance_died", `${name} ended while it was starting (${how}).`, {
    unchanged,
    fix: "The traceback is in the instance's log below. Correct it and deploy again.",
  });
}
