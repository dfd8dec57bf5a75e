import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { confined, sandboxTools } from "../../../../agent/host/exec/sandbox.ts";
import { runStep } from "../../../../agent/host/exec/step.ts";
import { type StepView, scratchParts } from "../../../../agent/host/exec/step-view.ts";
import { scratch as directory } from "../scratch.ts";

const limits = { step_memory: 512 * 1024 ** 2, step_tasks: 4096, step_file: 1024 ** 2 };
const nobody = { uid: 65534, gid: 65534 };
const root = process.geteuid?.() === 0;

/** A data directory with a release, a secret and an environment to write. */
function host() {
  const data = directory();
  const write = (path: string) => {
    mkdirSync(join(data, path, ".."), { recursive: true });
    writeFileSync(join(data, path), "text\n");
  };
  for (const path of ["releases/r1/app.py", "secrets/key", "build/1/environment/there"]) write(path);
  const scratch = join(data, "build/2");
  for (const part of [...scratchParts, "../1/environment"]) {
    mkdirSync(join(scratch, part), { recursive: true });
    chmodSync(join(scratch, part), 0o1777);
  }
  const view: StepView = {
    data,
    mounts: [
      { source: join(data, "releases"), target: join(data, "releases"), writable: false },
      { source: join(data, "build/1/environment"), target: join(data, "venvs/key"), writable: true },
    ],
  };
  const run = async (script: string, seen: StepView | undefined) => {
    const lines: string[] = [];
    const step = {
      ...{ argv: ["/bin/sh", "-c", script], cwd: "/", env: { PATH: "/usr/bin:/bin" }, timeoutMs: 20_000 },
      ...{ signal: new AbortController().signal, onLine: (line: string) => void lines.push(line) },
    };
    const how = { user: nobody, network: false, limits, view: seen, mounts: { scratch, keep: [data] } };
    const code = await runStep(confined(step, how, await sandboxTools()));
    return { code, lines };
  };
  return { data, view, run };
}

test.runIf(root)("a step sees of the data directory what is mounted for it, and writes where it may", async () => {
  const { data, view, run } = host();
  const script = `cd ${data} && ls . venvs/key releases && echo new > venvs/key/made; mkdir x releases/x venvs/x; ls build secrets`;
  const { lines } = await run(script, view);
  expect(lines.filter((line) => !line.includes("cannot") && line !== "")).toEqual([
    ...[".:", "releases", "venvs", "releases:", "r1", "venvs/key:", "there"],
  ]);
  for (const path of ["x", "releases/x", "venvs/x"]) {
    expect(lines).toContainEqual(expect.stringMatching(new RegExp(`${path}.: Read-only file system`)));
  }
  for (const path of ["build", "secrets"])
    expect(lines).toContainEqual(expect.stringMatching(new RegExp(`${path}.*: No such`)));
  expect(readFileSync(join(data, "build/1/environment/made"), "utf8")).toBe("new\n");
  // The mounts were the step's own.
  expect(readdirSync(data).sort()).toEqual(["build", "releases", "secrets"]);
  expect(readFileSync("/proc/self/mounts", "utf8")).not.toContain(data);
});

test.runIf(root)(
  "a step without a view has a /tmp of its own, in which the data directory stays where it is",
  async () => {
    const { data, run } = host();
    const name = `left-by-${process.pid}`;
    const { code, lines } = await run(
      `cat ${data}/secrets/key; for d in /tmp /var/tmp /dev/shm; do echo a > $d/${name} || exit 1; done; ls /tmp`,
      undefined,
    );
    expect(code).toBe(0);
    expect(lines[0]).toBe("text");
    expect(lines.slice(1)).toContain(name);
    for (const place of ["/tmp", "/var/tmp", "/dev/shm"]) expect(existsSync(join(place, name))).toBe(false);
    expect(existsSync(join(data, "build/2/tmp", name))).toBe(true);
  },
);

test.runIf(root)("what cannot be mounted ends the step before it begins", async () => {
  const { data, view, run } = host();
  const missing = { source: join(data, "nothing"), target: join(data, "releases"), writable: false };
  const { code, lines } = await run("echo ran", { ...view, mounts: [missing] });
  expect(code).toBe(125);
  expect(lines.join("\n")).toContain("cutover could not mount");
  expect(lines).not.toContain("ran");
  execFileSync("rm", ["-rf", join(data, "build")]);
});
