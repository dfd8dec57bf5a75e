import { constants } from "node:os";
import prettyMs from "pretty-ms";
import { argv } from "../../../shared/command.ts";
import { milliseconds } from "../../../shared/duration.ts";
import { CutoverError, type Evidence } from "../../../shared/errors.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import { type DeployContext, reach, saveJournal } from "../context.ts";
import { markCommanded } from "../state.ts";
import { causeIn, fixOf, sentence, wordsOf } from "./exit-words.ts";

/** How long an agent that shuts down waits for a release command. */
const patienceMs = 4000;
/** Lines of output in the reason of a failure. */
const evidenceLines = 60;
const unchanged = "The live release goes on serving. What the command did before it failed is not undone.";

/**
 * Runs the release command once for a deploy, before any instance starts.
 * @param wanted false when it runs on another host of the same deploy
 * @throws CutoverError release_command_failed
 */
export async function runReleaseCommand(context: DeployContext, spec: RunSpec, wanted: boolean): Promise<void> {
  const { ports, state, deployment, stopping } = context;
  const { release } = spec.config;
  if (release === undefined) return reach(context, "released", "no release command");
  if (!wanted) return reach(context, "released", "the release command ran on another host");
  stopping.throwIfAborted();
  // Written down before it runs: a command that was cut short has done something too.
  markCommanded(state, spec.release);
  await saveJournal(context);
  const last: string[] = [];
  const ended = new AbortController();
  const command = ports.privileged.runCommand(spec, {
    argv: argv(release.command),
    timeoutMs: milliseconds(release.timeout),
    source: "release",
    signal: AbortSignal.any([deployment.signal, shutDownLimit(context, ended.signal)]),
    onOutput: (source, line) => {
      deployment.output(source, line);
      last.push(line);
      if (last.length > evidenceLines) last.shift();
    },
  });
  const code = await command
    .finally(() => ended.abort())
    .catch((thrown: unknown) => {
      if (thrown instanceof CutoverError && thrown.code === "timed_out") throw tooSlow(thrown, release.timeout, last);
      throw thrown;
    });
  if (code !== 0) throw failed(spec.app, code, { command: argv(release.command).join(" "), last });
  await reach(context, "released");
}

/**
 * A command may not be able to run twice, so it is never left half done for the next start. An agent that shuts down waits
 * a while for its end, and then ends it, which undoes the deployment.
 */
function shutDownLimit({ ports, stopping }: DeployContext, ended: AbortSignal): AbortSignal {
  const limit = new AbortController();
  const end = () => limit.abort(cutShort());
  const wait = () => ports.clock.sleep(patienceMs, ended).then(end, () => undefined);
  stopping.addEventListener("abort", wait, { once: true, signal: ended });
  return limit.signal;
}

function failed(app: string, code: number, { command, last }: { command: string; last: string[] }): CutoverError {
  const evidence = evidenceOf(last);
  const cause = causeIn(app, evidence);
  const why = cause === undefined ? " and printed nothing" : `: ${cause.line}`;
  const said = `The release command ${endOf(code)}`;
  const unknown =
    cause === undefined || cause.vague === true
      ? fixOf(code, command, cause)
      : "Correct that and deploy again. The command runs at each deploy, so it must also succeed when its work is done already.";
  return new CutoverError("release_command_failed", sentence(`${said}${why}`), {
    unchanged,
    ...wordsOf({ fix: cause?.fix ?? unknown, frame: cause?.frame }),
    evidence,
  });
}

/** A command that a signal ended has 128 and the signal's number as its code. */
function endOf(code: number): string {
  const [signal] = Object.entries(constants.signals).find(([, number]) => number === code - 128) ?? [];
  return signal === undefined ? `ended with exit code ${code}` : `was killed by ${signal}`;
}

function evidenceOf(lines: string[]): Evidence[] {
  return lines.length === 0 ? [] : [{ source: "release", text: lines.join("\n") }];
}

/** It did not end within `release.timeout`. */
function tooSlow(thrown: CutoverError, timeout: string, lines: string[]): CutoverError {
  const said = lines.findLast((line) => line.trim() !== "");
  const last =
    said === undefined ? "It had printed nothing." : sentence(`The last that it printed: ${said.trim().slice(0, 200)}`);
  return new CutoverError(
    "timed_out",
    `The release command took longer than ${timeout} (release.timeout) and was ended. ${last}`,
    {
      unchanged,
      fix: "Find out what it waits for, such as a lock in the database, or raise `release.timeout` in cutover.yml.",
      evidence: evidenceOf(lines),
      cause: thrown,
    },
  );
}

function cutShort(): CutoverError {
  return new CutoverError(
    "release_command_failed",
    `The agent shut down, and the release command did not end within ${prettyMs(patienceMs)}: the agent ended it.`,
    {
      unchanged: "The live release goes on serving. What the command did until then is not undone.",
      fix: "See what the command had done. Deploying again runs it again, from its beginning.",
    },
  );
}
