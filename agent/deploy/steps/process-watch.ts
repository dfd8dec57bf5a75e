import { argv } from "../../../shared/command.ts";
import type { Process } from "../../../shared/config.ts";
import { milliseconds } from "../../../shared/duration.ts";
import { CutoverError, type Evidence } from "../../../shared/errors.ts";
import type { ProcessProgram, RunSpec } from "../../contracts/privileged.ts";
import { type DeployContext, interruption } from "../context.ts";
import { lastLogLines } from "../watch/run-health.ts";
import { causeIn, exitWords, wordsOf } from "./exit-words.ts";
import { ofProcess } from "./process-end.ts";

const pollMs = 100;

/**
 * Starts processes of a run together. A process has no health check: it is healthy when it has stayed up for `stay_up`.
 * @throws CutoverError instance_died, with its last log lines
 */
export async function startAndWatch(context: DeployContext, spec: RunSpec, names: string[]): Promise<void> {
  if (names.length === 0) return;
  const { ports, deployment } = context;
  const signal = interruption(context);
  const wanted = names.map((name) => ({ name, time: entryOf(spec, name).stay_up }));
  for (const { name, time } of wanted) {
    signal.throwIfAborted();
    await ports.privileged.startProcess(spec, name);
    deployment.notice(`${name} is started and has to stay up for ${time}`);
  }
  const begun = ports.clock.elapsed();
  const pids = new Map<string, number>();
  for (;;) {
    const groups = await ports.privileged.processes(spec.app);
    const up = ports.clock.elapsed() - begun;
    let left = 0;
    // Also those that have stayed up already, while another one is waited for.
    for (const { name, time } of wanted) {
      const programs = groups.find(ofProcess(spec.run, name))?.programs ?? [];
      const why = whyDown(name, programs, pids);
      if (why !== undefined) throw exited(spec, name, why, await lastLines(context, spec, name));
      if (up < milliseconds(time) || programs.some(({ state }) => state !== "RUNNING")) left++;
    }
    if (left === 0) return warnOfWaiting(context, spec, names);
    await ports.clock.sleep(pollMs, signal);
  }
}

const cannotConnect = /consumer: (Cannot connect to .+?)\.*$/;

/** A Celery worker that does not reach its broker stays up for ever, and does no job. Which comes up first is up to the host's owner. */
async function warnOfWaiting(context: DeployContext, spec: RunSpec, names: string[]): Promise<void> {
  for (const name of names) {
    for (const { source, text } of await lastLines(context, spec, name)) {
      const lines = text.split("\n");
      const last = lines.findLastIndex((line) => cannotConnect.test(line));
      const [, why] = cannotConnect.exec(lines[last] ?? "") ?? [];
      if (why === undefined || lines.slice(last).some((line) => /\bConnected to /.test(line))) continue;
      context.deployment.warning(
        `${source} runs and does no jobs: ${why}. Start that service, or correct its address: see \`cutover env list ${spec.app}\` and \`env\` in cutover.yml.`,
      );
    }
  }
}

interface Down {
  program: string;
  how: string;
}

/** @param pids the first pid seen of each program, filled here; another one later means that it ended and was restarted */
function whyDown(process: string, programs: ProcessProgram[], pids: Map<string, number>): Down | undefined {
  if (programs.length === 0) return { program: process, how: "supervisor does not know it" };
  for (const { name, state, pid, detail } of programs) {
    if (state !== "STARTING" && state !== "RUNNING") {
      return { program: name, how: detail === "" ? state : `${state}: ${detail}` };
    }
    const first = pids.get(name);
    if (first !== undefined && pid !== 0 && pid !== first) {
      return { program: name, how: "exited and was restarted" };
    }
    if (pid !== 0) pids.set(name, pid);
  }
  return undefined;
}

async function lastLines({ ports }: DeployContext, spec: RunSpec, process: string): Promise<Evidence[]> {
  const tails = await lastLogLines(ports, spec);
  return tails.filter(({ source }) => source.replace(/-\d+$/, "") === process);
}

function exited(spec: RunSpec, process: string, { program, how }: Down, evidence: Evidence[]): CutoverError {
  const own = evidence.filter(({ source }) => source === program);
  const cause = causeIn(spec.app, own.length > 0 ? own : evidence);
  const command = argv(entryOf(spec, process).command).join(" ");
  const words = exitWords({ program, how, cause, printed: evidence.length > 0, command });
  return new CutoverError("instance_died", words.message, {
    unchanged: "The live release goes on serving, and its processes run as before.",
    ...wordsOf(words),
    evidence,
  });
}

function entryOf({ config }: RunSpec, name: string): Process {
  const entry = config.processes[name];
  if (entry === undefined) throw new CutoverError("internal", `The release has no process ${name}.`);
  return entry;
}
