import * as core from "@actions/core";
import { wakeThreadPool } from "../shared/thread-pool.ts";
import { runAction } from "./action.ts";
import { AgentClient } from "./client/agent-client.ts";
import { Log } from "./runner/log.ts";

/** The step from its start to its exit code. @param env the environment that the runner gave, with its secrets */
export async function start(env: NodeJS.ProcessEnv): Promise<void> {
  wakeThreadPool();
  const well = await runAction({
    env,
    platform: process.platform,
    now: Date.now,
    log: new Log(core),
    connect: (url) => new AgentClient(url),
    publication: {
      setOutput: core.setOutput,
      writeSummary: async (text) => {
        if (process.env.GITHUB_STEP_SUMMARY) await core.summary.addRaw(text).write();
      },
    },
  });
  if (!well) process.exitCode = core.ExitCode.Failure;
}
