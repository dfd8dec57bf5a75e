import { getExecOutput } from "@actions/exec";
import { newReleaseId } from "../shared/names.ts";

const commitPattern = /^[0-9a-f]{40}$/;

/** The commit that is packed: GITHUB_SHA, or what git says of the project; empty where neither knows one. */
export async function findCommit(directory: string, env: NodeJS.ProcessEnv): Promise<string> {
  if (commitPattern.test(env.GITHUB_SHA ?? "")) return env.GITHUB_SHA ?? "";
  try {
    const options = { cwd: directory, silent: true, ignoreReturnCode: true };
    const { exitCode, stdout } = await getExecOutput("git", ["rev-parse", "--verify", "HEAD"], options);
    return exitCode === 0 && commitPattern.test(stdout.trim()) ? stdout.trim() : "";
  } catch {
    // No git on this runner: the manifest's own hash stands in.
    return "";
  }
}

/** When the release is made: SOURCE_DATE_EPOCH (seconds), for builds that must come out the same, or now. */
export function releaseTime(env: NodeJS.ProcessEnv, now: number): Date {
  const epoch = env.SOURCE_DATE_EPOCH ?? "";
  return new Date(/^\d{1,12}$/.test(epoch) ? Number(epoch) * 1000 : now);
}

/** @param contentHash hex digits that stand in where there is no commit */
export function releaseIdFor(made: Date, commit: string, contentHash: string): string {
  return newReleaseId(made, commit === "" ? contentHash : commit);
}
