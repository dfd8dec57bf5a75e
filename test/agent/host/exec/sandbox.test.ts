import { expect, test } from "vitest";
import { confined, sandboxTools } from "../../../../agent/host/exec/sandbox.ts";
import { runStep, type StepRequest } from "../../../../agent/host/exec/step.ts";
import { runningWith, uniqueNap } from "../../../harness/processes.ts";

const limits = { step_memory: 512 * 1024 ** 2, step_tasks: 4096, step_file: 1024 ** 2 };
const nobody = { uid: 65534, gid: 65534 };
const tools = { setpriv: "/usr/bin/setpriv", prlimit: "/usr/bin/prlimit", unshare: "/usr/bin/unshare" };
const lines: string[] = [];
const step = (argv: string[], change: Partial<StepRequest> = {}): StepRequest => ({
  ...{ argv, cwd: "/tmp", env: { PATH: "/usr/bin:/bin" }, timeoutMs: 20_000, signal: new AbortController().signal },
  onLine: (line) => void lines.push(line),
  ...change,
});
const limited = ["/usr/bin/prlimit", "--data=536870912", "--fsize=1048576", "--core=0"];

test("a step as another user, exactly", () => {
  const { argv, cwd, env } = confined(step(["pip"]), { user: nobody, network: false, limits }, tools);
  expect(argv).toEqual([
    ...["/usr/bin/setpriv", "--pdeathsig", "KILL", "--"],
    ...["/usr/bin/unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--ipc", "--net", "--"],
    ...["/bin/sh", "-c", '"$@"; exit $?', "sh"],
    ...[...limited, "--nproc=4096", "--"],
    ...["/usr/bin/setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"],
    ...["--no-new-privs", "--inh-caps=-all", "--ambient-caps=-all", "--", "/usr/bin/env", "-C", "/tmp", "pip"],
  ]);
  expect([cwd, env]).toEqual(["/", { PATH: "/usr/bin:/bin" }]);
});

test("a repository's environment is on no command line, and not that of what still runs as root", () => {
  const secret = step(["python"], { env: { SECRET: "s3cret", LD_PRELOAD: "/evil.so" } });
  const launcher = { node: "/usr/bin/node", file: "/opt/launch.mjs" };
  const { argv, env, input } = confined(secret, { user: nobody, network: true, limits, launcher }, tools);
  expect(argv.join(" ")).not.toMatch(/s3cret|evil|--net/);
  expect(Object.keys(env)).toEqual(["PATH"]);
  expect(JSON.parse(input ?? "")).toMatchObject({ argv: ["python"], env: { SECRET: "s3cret" }, directory: "/tmp" });
});

test("without another user a step is as far confined as one's own user can", () => {
  const { argv, cwd } = confined(step(["pip"]), { network: false, limits }, tools);
  expect(argv).toEqual(["/usr/bin/setpriv", "--no-new-privs", "--", ...limited, "--", "pip"]);
  expect(cwd).toBe("/tmp");
  expect(confined(step(["pip"]), { network: false, limits }, {}).argv).toEqual(["pip"]);
});

test.runIf(process.geteuid?.() === 0)("the kernel holds a step to it", async () => {
  const run = async (code: string, network = false) => {
    lines.length = 0;
    const how = { user: nobody, network, limits };
    const status = await runStep(confined(step(["/usr/bin/python3", "-I", "-c", code]), how, await sandboxTools()));
    return `${status} ${lines.join("\n")}`;
  };
  const connect = "import socket; socket.create_connection(('127.0.0.1', 9), 2)";
  expect(await run(connect)).toContain("Network is unreachable");
  expect(await run(connect, true)).toContain("Connection refused");
  expect(await run("x = bytearray(1024 ** 3)")).toContain("MemoryError");
  expect(await run("open('/tmp/cutover-large-file', 'wb').truncate(2 * 1024 ** 2)")).not.toMatch(/^0/);
  expect(
    await run(
      "import os; os.unlink('/tmp/cutover-large-file'); print(len([p for p in os.listdir('/proc') if p.isdigit()]))",
    ),
  ).toBe("0 2");
  const nap = uniqueNap();
  const daemon = `import subprocess; q = subprocess.DEVNULL; subprocess.Popen(["sleep", "${nap}"], start_new_session=True, stdin=q, stdout=q, stderr=q)`;
  expect(await run(daemon)).toBe("0 ");
  expect(runningWith("sleep", nap)).toEqual([]);
});

test("a build's step leaves the processor to what serves, another step does not", async () => {
  const shares = async (quiet: boolean) => {
    lines.length = 0;
    const code = "import os; print(os.nice(0)); print(*open('/proc/self/autogroup'))";
    const how = { network: true, limits, quiet };
    expect(await runStep(confined(step(["/usr/bin/python3", "-c", code]), how, await sandboxTools()))).toBe(0);
    return [lines[0], /nice (\d+)/.exec(lines[1] ?? "")?.[1]];
  };
  const loud = await shares(false);
  expect(loud[1]).toBe("0");
  expect(await shares(true)).toEqual([String(Number(loud[0]) + 10), "10"]);
});
