import { spawn } from "node:child_process";
import { connect } from "node:net";
import { expect } from "vitest";
import { embeddedLayout } from "../../agent/host/embedded/files.ts";
import type { EmbeddedAgent } from "../harness/agent.ts";

/** The kernel gives the agent nothing more, as at the limit of its unit; callers that keep it busy need more than it has. */
export async function exhaust(agent: EmbeddedAgent): Promise<void> {
  const prlimit = spawn("prlimit", ["--pid", String(agent.pid), "--as=1"]);
  expect(await new Promise((resolve) => prlimit.once("close", resolve))).toBe(0);
  // Headers that do not end: the agent keeps each of them for ten seconds. Of local operators it takes any number.
  const callers = Array.from({ length: 4000 }, () => {
    const caller = connect(embeddedLayout(agent.directory).agentSocket).on("error", () => undefined);
    caller.write(`GET / HTTP/1.1\r\nhost: x\r\nx: ${"x".repeat(15_000)}`);
    return caller;
  });
  await agent.ended;
  for (const caller of callers) caller.destroy();
}
