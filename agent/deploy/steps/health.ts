import { statusExpected } from "../../../shared/config.ts";
import { milliseconds } from "../../../shared/duration.ts";
import { CutoverError } from "../../../shared/errors.ts";
import type { HealthAnswer } from "../../contracts/ports.ts";
import type { Instance, RunSpec } from "../../contracts/privileged.ts";
import { type DeployContext, interruption } from "../context.ts";
import { probeInstance } from "../watch/probe-instance.ts";
import { healthHost, noPorts } from "../watch/run-health.ts";
import { watchWorkers } from "./dying-workers.ts";
import { giveFullShare } from "./full-share.ts";
import {
  type Asked,
  explainStartFailure,
  StartFailure,
  type StartFault,
  sendsInCircles,
  withLogs,
} from "./start-failure.ts";

const pollMs = 50;
/** An instance that answers is up. Asking it more often would only fill its log with the same traceback. */
const answeredPollMs = 500;
const watchMs = 200;
/** An answer that has not changed in so many checks is final. 503 is not: it says that the app is not ready yet. */
const finalAnswers = 6;
const notYet: ReadonlySet<number> = new Set([425, 429, 503]);

/**
 * Waits until every instance of the run has answered its health check with an expected status, on its own socket. Then they
 * get the full share of the processor.
 * @throws CutoverError instance_died as soon as one ends, port_taken as soon as another user's process has a port;
 * health_failed if an unexpected answer does not change; health_timeout at the time limit
 */
export async function waitHealthy(context: DeployContext, spec: RunSpec): Promise<void> {
  const instances = await context.ports.privileged.instances(spec);
  if (instances.length === 0)
    throw await explainStartFailure(context, spec, { kind: "exited", instance: "the run", how: noPorts });
  const settled = new AbortController();
  const signal = AbortSignal.any([settled.signal, interruption(context)]);
  try {
    const watched = watchPrograms(context, spec, signal);
    const probed = Promise.all(instances.map((instance) => becomeHealthy(context, spec, instance, signal)));
    await Promise.race([probed, watched]);
    await giveFullShare(context.ports, spec, context.log);
  } catch (thrown) {
    interruption(context).throwIfAborted();
    if (thrown instanceof StartFailure) throw await explainStartFailure(context, spec, thrown.fault);
    throw thrown instanceof CutoverError ? await withLogs(context, spec, thrown) : thrown;
  } finally {
    settled.abort();
  }
}

async function becomeHealthy(
  context: DeployContext,
  spec: RunSpec,
  instance: Instance,
  signal: AbortSignal,
): Promise<void> {
  const healthy = new AbortController();
  const looking = AbortSignal.any([signal, healthy.signal]);
  try {
    await Promise.race([
      probeUntilHealthy(context, spec, instance, signal),
      watchWorkers(context.ports, spec, instance.name, looking),
    ]);
  } finally {
    healthy.abort();
  }
}

async function probeUntilHealthy(
  context: DeployContext,
  spec: RunSpec,
  instance: Instance,
  signal: AbortSignal,
): Promise<void> {
  const { clock } = context.ports;
  const { path, expect, timeout } = spec.config.health;
  const asked: Asked = { path, host: healthHost(spec.config, context.settings), expect, timeout };
  const deadline = clock.elapsed() + milliseconds(timeout);
  const answers = new Answers();
  for (;;) {
    signal.throwIfAborted();
    const timeoutMs = Math.max(deadline - clock.elapsed(), 1);
    const answer = await probeInstance(context.ports, spec, instance, { path, host: asked.host, timeoutMs });
    if (isWell(answer, asked)) return;
    if (answers.add(answer) && answer.kind === "status") {
      const { status } = answer;
      context.deployment.notice(
        `${instance.name} answers ${status} to GET ${path} with Host ${asked.host}; waiting for ${expect}`,
      );
    }
    if (answers.final(asked) || clock.elapsed() >= deadline) throw new StartFailure(answers.fault(instance, asked));
    const spoke = answer.kind === "status" || answer.how === "closed";
    await clock.sleep(spoke ? answeredPollMs : pollMs, signal);
  }
}

type Status = Extract<HealthAnswer, { kind: "status" }>;
type Unreachable = Exclude<HealthAnswer, Status>;

function isWell(answer: HealthAnswer, asked: Asked): boolean {
  if (answer.kind !== "status" || answer.broken === true) return false;
  return statusExpected(asked.expect, answer.status) && !sendsInCircles(answer, asked);
}

/** What one instance has answered until now: never what was expected. */
class Answers {
  #last: Status | undefined;
  /** Why it did not answer. The time limit cuts the last check short, so the first of equal reasons stays. */
  #reason: Unreachable = { kind: "unreachable", reason: "it was not asked" };
  #same = 0;
  /** So many checks in a row ended without an answer: a worker that ends at each request. */
  #closed = 0;

  /** @returns whether the status is another one than before */
  add(answer: HealthAnswer): boolean {
    const last = this.#last;
    if (answer.kind === "unreachable") {
      this.#closed = answer.how === "closed" ? this.#closed + 1 : 0;
      if (answer.how === undefined || answer.how !== this.#reason.how) this.#reason = answer;
      this.#same = 0;
      return false;
    }
    this.#closed = 0;
    const same = last?.status === answer.status && last.location === answer.location;
    this.#same = same ? this.#same + 1 : 1;
    this.#last = answer;
    return last?.status !== answer.status;
  }

  /** Whether waiting for another answer is of no use. */
  final(asked: Asked): boolean {
    const last = this.#last;
    if (this.#closed >= finalAnswers) return true;
    if (last === undefined || this.#same === 0) return false;
    return sendsInCircles(last, asked) || (this.#same >= finalAnswers && !notYet.has(last.status));
  }

  /** An answer says more than a check that got none. */
  fault(instance: Instance, asked: Asked): StartFault {
    return this.#last === undefined
      ? { kind: "no answer", instance, answer: this.#reason, asked }
      : { kind: "answered", instance, answer: this.#last, asked };
  }
}

/** Ends only by throwing: an instance that has ended does not become healthy if one waits. */
async function watchPrograms(context: DeployContext, spec: RunSpec, signal: AbortSignal): Promise<never> {
  const pids = new Map<string, number>();
  for (;;) {
    await lookAtPrograms(context, spec, pids);
    await context.ports.clock.sleep(watchMs, signal);
  }
}

/** @throws CutoverError instance_died */
export async function assertRunning(context: DeployContext, spec: RunSpec): Promise<void> {
  try {
    await lookAtPrograms(context, spec, new Map());
  } catch (thrown) {
    throw thrown instanceof StartFailure ? await explainStartFailure(context, spec, thrown.fault) : thrown;
  }
}

/**
 * @param pids the first pid seen of each instance, filled here; another one later means that it ended and was restarted
 * @throws StartFailure
 */
async function lookAtPrograms(context: DeployContext, spec: RunSpec, pids: Map<string, number>): Promise<void> {
  const programs = await context.ports.privileged.programs(spec.app, spec.run);
  if (programs === undefined) throw exited("the run", "supervisor does not know it");
  for (const { name, state, pid, detail } of programs) {
    if (state !== "STARTING" && state !== "RUNNING") {
      throw exited(name, `${state}${detail === "" ? "" : `: ${detail}`}`);
    }
    const first = pids.get(name);
    if (first !== undefined && pid !== 0 && pid !== first) throw exited(name, "exited and was restarted");
    if (pid !== 0) pids.set(name, pid);
  }
}

function exited(instance: string, how: string): StartFailure {
  return new StartFailure({ kind: "exited", instance, how });
}
