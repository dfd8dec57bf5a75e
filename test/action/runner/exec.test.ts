import { describe, expect, it } from "vitest";
import { execute } from "../../../action/runner/exec.ts";
import { never, Workspace } from "../workspace.ts";

function run(argv: string[], signal = never) {
  return execute({ argv, cwd: "/", env: { PATH: "/usr/bin:/bin" }, signal });
}

describe("A5: a program whose descendant keeps its output open", () => {
  it("is over when it has ended itself", async () => {
    const begun = performance.now();
    const { ok, stdout } = await run(["sh", "-c", "echo done; setsid sleep 20 &"]);
    expect({ ok, stdout }).toEqual({ ok: true, stdout: "done" });
    expect(performance.now() - begun).toBeLessThan(10_000);
  });

  it("is over when it is aborted", async () => {
    const begun = performance.now();
    const signal = AbortSignal.timeout(500);
    await expect(run(["sh", "-c", "setsid sleep 20 & sleep 20"], signal)).rejects.toThrow(/aborted due to timeout/);
    expect(performance.now() - begun).toBeLessThan(10_000);
  });
});

it("keeps so much of an output without end, and no more", async () => {
  const { ok, stdout, output } = await run([
    "sh",
    "-c",
    "echo first; yes $(printf %05000d 0) | head -c 100000000; echo; echo last",
  ]);
  expect([ok, stdout.startsWith("first\n"), output.endsWith("last\n")]).toEqual([true, true, true]);
  expect(stdout.length).toBeLessThanOrEqual(64 * 1024 * 1024);
});

it("keeps so much of a line without end, and goes on to read", { timeout: 60_000 }, async () => {
  const { ok, stdout, output } = await run(["sh", "-c", "head -c 600000000 /dev/zero | tr '\\0' x; echo; echo last"]);
  expect([ok, output.endsWith("last\n")]).toEqual([true, true]);
  expect(stdout.length).toBeLessThanOrEqual(65 * 1024 * 1024);
});

describe("how a program ended", () => {
  it("A26: names the signal that killed it", async () => {
    expect(await run(["sh", "-c", "kill -TERM $$"])).toMatchObject({ ok: false, how: "It was killed by SIGTERM." });
    expect((await run(["sh", "-c", "kill -KILL $$"])).how).toMatch(/^It was killed by SIGKILL\. Was there too little/);
    expect(await run(["sh", "-c", "exit 3"])).toMatchObject({ ok: false, how: "It ended with exit code 3." });
  });

  it("A10: says that it could not be started", async () => {
    using space = new Workspace();
    space.write("plain", "echo hello\n");
    expect((await run(["./nosuch.sh"])).how).toBe("./nosuch.sh could not be started: ENOENT.");
    expect((await run([space.at("plain")])).how).toMatch(/ could not be started: EACCES\.$/);
  });
});
