import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { longestLine, runStep, type StepRequest } from "../../../../agent/host/exec/step.ts";
import { CutoverError } from "../../../../shared/errors.ts";
import { scratch } from "../scratch.ts";

async function run(argv: string[], change: Partial<StepRequest> = {}) {
  const lines: string[] = [];
  const request = {
    argv,
    cwd: "/",
    env: { PATH: "/usr/bin:/bin" },
    timeoutMs: 10_000,
    graceMs: 100,
    signal: new AbortController().signal,
    onLine: (line: string) => lines.push(line),
    ...change,
  };
  return { code: await runStep(request), lines };
}

/** Whether a process still runs; a zombie does not. */
function alive(pid: string): boolean {
  return existsSync(`/proc/${pid}/stat`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
}

describe("a step", () => {
  test("tells its output line by line, and its exit code", async () => {
    const { code, lines } = await run(["sh", "-c", "printf 'one\\ntwo\\r\\nthree\\rlast'; exit 7"]);
    expect({ code, lines }).toEqual({ code: 7, lines: ["one", "two", "three", "last"] });
  });

  test("has only the environment and the directory that it was given", async () => {
    const cwd = scratch();
    const { lines } = await run(["sh", "-c", "pwd; env"], { cwd, env: { PATH: "/usr/bin:/bin", NAME: "a b" } });
    expect(lines.sort()).toEqual([cwd, "NAME=a b", "PATH=/usr/bin:/bin", `PWD=${cwd}`].sort());
  });

  test("gets its words as they are, without a shell", async () => {
    const { lines } = await run(["printf", "%s\n", "$(id); *"]);
    expect(lines).toEqual(["$(id); *"]);
  });

  test("that cannot be started is 127, with the reason", async () => {
    expect(await run(["no-such-command"])).toEqual({
      code: 127,
      lines: ["cannot start no-such-command in /: ENOENT"],
    });
    expect((await run(["/etc/passwd"])).code).toBe(126);
  });

  test("that a signal ends is 128 and its number", async () => {
    expect((await run(["sh", "-c", "kill -9 $$"])).code).toBe(137);
  });

  test("leaves no process behind", async () => {
    const { code, lines } = await run(["sh", "-c", "sleep 60 & echo $!"]);
    expect(code).toBe(0);
    await delay(20);
    expect(alive(lines[0] ?? "")).toBe(false);
  });

  test("ends at its time limit, with all that it started, also what ignores SIGTERM", async () => {
    const file = join(scratch(), "pid");
    const script = `trap '' TERM; sleep 60 & echo $! >${file}; wait; sleep 60`;
    await expect(run(["sh", "-c", script], { timeoutMs: 200 })).rejects.toMatchObject({ code: "timed_out" });
    await delay(20);
    expect(alive(readFileSync(file, "utf8").trim())).toBe(false);
  });

  test("ends when it is aborted, with the reason's own words where they are ours", async () => {
    const controller = new AbortController();
    const stopping = new CutoverError("agent_stopping", "The agent is shutting down.");
    const step = run(["sleep", "60"], { signal: controller.signal });
    setTimeout(() => controller.abort(stopping), 50);
    await expect(step).rejects.toBe(stopping);
    await expect(run(["sleep", "60"], { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "aborted" });
  });

  test("cannot fill the memory with a line that does not end", async () => {
    const { lines } = await run(["sh", "-c", "head -c 5000000 /dev/zero | tr '\\0' x; echo; echo after"]);
    expect(lines.map((line) => line.length)).toEqual([longestLine + 1, 5]);
    expect(lines[0]?.endsWith("x…")).toBe(true);
  });
});
