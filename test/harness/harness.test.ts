import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { inputEnvironment } from "./action.ts";
import { annotationsOf, parseFileCommands } from "./action-output.ts";
import { freePorts } from "./ports.ts";
import { isRunning, processId } from "./processes.ts";
import { runProgram } from "./run.ts";
import { Scratch } from "./scratch.ts";

describe("what the runner reads", () => {
  it("reads both forms of GITHUB_OUTPUT", () => {
    const text = "release=r1\nresult<<END_1\n{\n}\nEND_1\nempty<<E\nE\nlast=a=b\n";
    expect(parseFileCommands(text)).toEqual({ release: "r1", result: "{\n}", empty: "", last: "a=b" });
    expect(() => parseFileCommands("result<<END\n{\n")).toThrow("does not end");
    expect(() => parseFileCommands("nonsense\n")).toThrow("not a file command");
  });

  it("finds annotations and masks, but none while commands are stopped", () => {
    const log = [
      "::error title=web1%3A7070%3A health_failed::It answered 500.%0AFix 100%25 of it",
      "::add-mask::secret",
      "::stop-commands::5d1f",
      "::error::from a host",
      "::stop-commands::other",
      "::5d1f::",
      "text ::warning::not at the start",
      "::warning::careful",
      "::group::unpack",
    ];
    expect(annotationsOf(log)).toEqual({
      annotations: [
        { level: "error", title: "web1:7070: health_failed", message: "It answered 500.\nFix 100% of it" },
        { level: "warning", title: "", message: "careful" },
      ],
      masked: ["secret"],
    });
  });

  it("passes every declared input, upper-cased, with its default", () => {
    const declared = { hosts: {}, "working-directory": { default: "." }, "dry-run": { default: "false" } };
    expect(inputEnvironment(declared, { "dry-run": "true" })).toEqual({
      INPUT_HOSTS: "",
      "INPUT_WORKING-DIRECTORY": ".",
      "INPUT_DRY-RUN": "true",
    });
    expect(() => inputEnvironment(declared, { host: "x" })).toThrow("no input host");
  });
});

describe("a scratch directory", () => {
  it("ends the processes that were started for it and what they started, and is removed", async () => {
    const scratch = new Scratch("own");
    // The shell's child ignores the polite signal.
    const script = "sh -c 'trap \"\" TERM; echo $$ > child; sleep 60; sleep 60' & wait";
    const shell = spawn("sh", ["-c", script], { cwd: scratch.path, stdio: "ignore" });
    scratch.adopt(processId(shell.pid ?? 0));
    await expect.poll(() => existsSync(join(scratch.path, "child"))).toBe(true);
    await expect.poll(() => readFileSync(join(scratch.path, "child"), "utf8")).toMatch(/^\d+\n$/);
    const child = processId(Number(readFileSync(join(scratch.path, "child"), "utf8")));
    expect(child && isRunning(child)).toBe(true);
    await scratch.endProcesses(200);
    await scratch[Symbol.asyncDispose]();
    expect(child && isRunning(child)).toBe(false);
    expect(existsSync(scratch.path)).toBe(false);
  });

  it("leaves a process alone that only has an id from an old pid file", async () => {
    const scratch = new Scratch("stale");
    const other = spawn("sleep", ["60"], { stdio: "ignore" });
    try {
      writeFileSync(join(scratch.path, "nginx.pid"), `${other.pid}\n`);
      expect(scratch.processes()).toEqual([]);
      await scratch[Symbol.asyncDispose]();
      expect(other.exitCode).toBe(null);
      expect(isRunning(processId(other.pid ?? 0) ?? { pid: 0, start: "" })).toBe(true);
    } finally {
      other.kill("SIGKILL");
      await once(other, "close");
    }
  });

  it.each(["SIGINT", "SIGTERM"] as const)(
    "goes with its processes when the program that made it gets %s",
    async (signal) => {
      const program = `
      import { spawn } from "node:child_process";
      import { processId } from ${JSON.stringify(new URL("processes.ts", import.meta.url).href)};
      import { Scratch } from ${JSON.stringify(new URL("scratch.ts", import.meta.url).href)};
      const scratch = new Scratch("signal");
      const child = spawn("sleep", ["60"], { stdio: "ignore", detached: true });
      scratch.adopt(processId(child.pid));
      console.log(JSON.stringify({ path: scratch.path, pid: child.pid }));
    `;
      const node = spawn(process.execPath, ["--input-type=module", "-e", program], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const closed = once(node, "close");
      const [line] = (await once(node.stdout, "data")) as [Buffer];
      const { path, pid } = JSON.parse(line.toString()) as { path: string; pid: number };
      const child = processId(pid);
      expect(child).toBeDefined();
      node.kill(signal);
      await closed;
      await sleep(50);
      expect(existsSync(path)).toBe(false);
      expect(child && isRunning(child)).toBe(false);
    },
  );
});

describe("helpers", () => {
  it("finds different ports that can be listened on", async () => {
    const ports = await freePorts(5);
    expect(new Set(ports).size).toBe(5);
    const server = createServer().listen(ports[0], "127.0.0.1");
    await once(server, "listening");
    server.close();
  });

  it("hands out no port of another process's, and none twice", async () => {
    const harness = new URL("ports.ts", import.meta.url);
    const script = `const { freePortRange, freePorts } = await import("${harness}");
      console.log(await freePortRange(200), ...(await freePorts(100)));`;
    const own = (await freePorts(100)).map(String);
    const others = await Promise.all([1, 2].map(() => runProgram([process.execPath, "-e", script])));
    const all = others.flatMap(({ stdout }) => {
      const [range = "", ...ports] = stdout.trim().split(" ");
      const [first = 0] = range.split("-").map(Number);
      return [...Array.from({ length: 200 }, (_, index) => String(first + index)), ...ports];
    });
    expect(all).toHaveLength(600);
    expect(new Set([...own, ...all]).size).toBe(700);
  });

  it("keeps a run's files in memory while another run ends", async () => {
    const { TMPDIR: _, ...env } = process.env;
    const run = (script: string) =>
      runProgram(["sh", fileURLToPath(new URL("../in-memory.sh", import.meta.url)), "sh", "-c", script], { env });
    const slow = run('file=$(mktemp) && sleep 0.5 && test -e "$file" && rm "$file" && echo kept');
    await sleep(200);
    expect(await run("true")).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(await slow).toEqual({ code: 0, stdout: "kept\n", stderr: "" });
  });

  it("tells a program's exit code and output, and -1 for a signal", async () => {
    expect(await runProgram(["sh", "-c", "echo out; echo err >&2; exit 3"])).toEqual({
      code: 3,
      stdout: "out\n",
      stderr: "err\n",
    });
    expect((await runProgram(["sh", "-c", "kill -9 $$"])).code).toBe(-1);
    await expect(runProgram(["/nowhere/at/all"])).rejects.toThrow("ENOENT");
  });
});
