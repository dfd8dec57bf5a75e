import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { AppView } from "../../../shared/protocol.ts";
import { fakeAppView } from "../../fakes/app-view.ts";
import { HelperHost } from "../../harness/helper-host.ts";
import { cutoverProgram, node, repository, systemPath } from "../../harness/places.ts";
import { pushIntoTerminal as push } from "../../harness/push.ts";
import { type Finished, runProgram } from "../../harness/run.ts";
import { asAgent, idsOf, users } from "../../harness/two-processes.ts";

/** `sudo cutover exec` on a host whose agent somebody else controls, and of an app that somebody broke into. */
const release = "20261121T103000Z-3f2c1ab";
let host: HelperHost;
let agent: Server;
let answers: Record<string, unknown>;
const app = idsOf(users.app);
const evil = () => join(host.directory, "evil");
const marker = () => join(host.directory, "ran-as-root");

beforeAll(async () => {
  host = await HelperHost.open();
  const talk = host.talk();
  await talk.done("prepareApp", { app: "shop" });
  talk.kill();
  await host.unpack({
    release,
    files: { "app/shop.py": "application = None\n" },
    config: { env: { GREETING: "hello" } },
  });
  mkdirSync(evil());
  // Whatever root finds in the agent's PATH.
  for (const name of ["id", "sh", "env", "setpriv", "script", "systemd-run"]) {
    writeFileSync(
      join(evil(), name),
      `#!/bin/sh\n[ "$(/usr/bin/id -u)" != 0 ] || /usr/bin/touch ${marker()}\necho evil\n`,
    );
    chmodSync(join(evil(), name), 0o755);
  }
  answers = { "/v1/apps/shop": view(release) };
  agent = createServer((request, response) => {
    const answer = answers[request.url ?? ""];
    response.writeHead(answer === undefined ? 404 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(answer ?? { type: "about:blank", status: 404, code: "not_found", title: "no" }));
  });
  await new Promise<void>((resolve) => agent.listen(join(host.directory, "agent.sock"), resolve));
  chmodSync(join(host.directory, "agent.sock"), 0o666);
});
afterAll(async () => {
  agent?.close();
  await host?.[Symbol.asyncDispose]();
});

function view(live: string): AppView {
  return { ...fakeAppView(), live };
}

const exec = (...argv: string[]) => [
  ...[node, cutoverProgram, "exec", "--config", host.etc, "--socket", join(host.directory, "agent.sock")],
  ...["shop", "--", ...argv],
];
const env = { PATH: systemPath, TERM: "xterm" };
const run = (...argv: string[]): Promise<Finished> => runProgram(exec(...argv), { env });

/** In a terminal. @param command a text for a shell, with the words of `cutover exec` in $@ */
async function inTerminal(command: string, ...argv: string[]): Promise<string> {
  const words = ["/usr/bin/python3", join(repository, "test/harness/terminal.py"), command, ...exec(...argv)];
  return (await runProgram(words, { env })).stdout.replaceAll("\r", "");
}

const nothingLeft = () => readdirSync("/run").filter((name) => name.startsWith("cutover-exec-"));

/** The one whose content is there. */
const nothingLeftBut = () => nothingLeft().find((name) => statSync(join("/run", name)).size > 0);

describe("T4 a taken-over agent and `sudo cutover exec`:", () => {
  test("user, groups, directory and environment are the host's, whatever the agent answers", async () => {
    answers["/v1/apps/shop/environment"] = { release, directory: evil(), env: { PATH: evil(), LD_PRELOAD: "x" } };
    const script = 'id -u; id -g; id -G; pwd; echo "$GREETING $SECRET $HOME $LD_PRELOAD"';
    const { code, stdout, stderr } = await run("sh", "-c", script);
    expect(existsSync(marker())).toBe(false);
    expect([code, stderr]).toEqual([0, ""]);
    const lines = stdout.trim().split("\n");
    expect(lines.slice(0, 3)).toEqual([String(app.uid), String(app.gid), String(app.gid)]);
    expect(lines[3]).toBe(host.layout().app(release));
    expect(lines[4]).toMatch(/^hello canary-of-shop \S+$/);
    expect(nothingLeft()).toEqual([]);
  });

  test("a build, which has the app's group, cannot read the environment of a command", async () => {
    const running = run("sleep", "1.5");
    const file = await vi.waitUntil(nothingLeftBut, { timeout: 20_000, interval: 10 });
    const { uid, gid } = idsOf(users.builder);
    const drop = ["setpriv", "--reuid", String(uid), "--regid", String(gid), "--groups", String(app.gid), "--"];
    const read = await runProgram([...drop, "cat", join("/run", file)], { env });
    expect((await running).code).toBe(0);
    expect(read.stdout).toBe("");
    expect(read.stderr).toContain("Permission denied");
  });

  test("what the release's environment holds reaches no process of root's", async () => {
    await host.unpack({
      release: "20261122T103000Z-3f2c1ab",
      files: { "app/shop.py": "" },
      config: { env: { LD_PRELOAD: "/nonexistent/evil.so", NODE_OPTIONS: "--import=/nonexistent/evil.mjs" } },
    });
    answers["/v1/apps/shop"] = view("20261122T103000Z-3f2c1ab");
    const { code, stdout, stderr } = await run("sh", "-c", "echo $NODE_OPTIONS");
    expect([code, stdout]).toEqual([0, "--import=/nonexistent/evil.mjs\n"]);
    // The dynamic linker of the app's own processes complains, and only of theirs.
    expect(stderr).not.toMatch(/setpriv|node:/);
    answers["/v1/apps/shop"] = view(release);
  });

  test.each(["../../../../etc", "20261121T103000Z-3f2c1ab/../..", "20261121T103000Z-3f2c1ab.x", ""])(
    "a live run %j is refused",
    async (live) => {
      answers["/v1/apps/shop"] = view(live);
      expect(await run("id", "-u")).toMatchObject({ code: 1, stdout: "" });
      answers["/v1/apps/shop"] = view(release);
    },
  );

  test("a release whose directory is a link is refused", async () => {
    const other = "20261123T103000Z-3f2c1ab";
    symlinkSync("/usr", host.layout().release(other));
    answers["/v1/apps/shop"] = view(other);
    const { code, stdout, stderr } = await run("id", "-u");
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain("[release_not_found]");
    rmSync(host.layout().release(other));
    answers["/v1/apps/shop"] = view(release);
  });

  test("a configuration that is a link or a pipe is refused, and does not hang", async () => {
    const config = host.layout().config(release);
    renameSync(config, `${config}.kept`);
    symlinkSync("/etc/shadow", config);
    const linked = await run("id", "-u");
    rmSync(config);
    await runProgram(["mkfifo", config], { env });
    const piped = await run("id", "-u");
    rmSync(config);
    renameSync(`${config}.kept`, config);
    for (const { code, stdout, stderr } of [linked, piped]) {
      expect([code, stdout]).toEqual([1, ""]);
      expect(stderr).toContain("[release_not_found]");
      expect(stderr).not.toContain("root:");
    }
  });

  test("an app whose settings name a user with the id 0 is refused", async () => {
    host.writeApp("shop", { user: "root" });
    const { code, stdout, stderr } = await run("id", "-u");
    host.writeApp("shop", { user: users.app });
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain("[host_settings_invalid]");
  });

  test("settings that others than root can write are refused", async () => {
    const file = join(host.etc, "apps", "shop.yml");
    chmodSync(file, 0o666);
    const { code, stdout, stderr } = await run("id", "-u");
    chmodSync(file, 0o644);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain("can be changed by users other than root");
  });

  test("another user than root may not run it", async () => {
    const { code, stdout, stderr } = await runProgram([...asAgent(), ...exec("id", "-u")], { env });
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain("[forbidden]");
  });
});

describe("T4b an app that somebody broke into, and root's terminal:", () => {
  test.each([
    ["it stands in the terminal", '"$@"'],
    ["its input is a pipe", 'echo hello | "$@"'],
    ["its output is a pipe", '"$@" | cat'],
    ["its input and errors are files", '"$@" </dev/null 2>/dev/null'],
  ])("what it pushes into a terminal does not reach root's shell when %s", async (_, command) => {
    const screen = await inTerminal(command, "/usr/bin/python3", "-c", push);
    expect(screen).toMatch(/\nended 0 b''\n$/);
  });

  test("it gets no descriptor of root's terminal", async () => {
    const where = 'echo "at $(tty)"; ls -l /proc/self/fd';
    const screen = await inTerminal('tty; "$@"', "sh", "-c", where);
    const [own = ""] = screen.split("\n");
    expect(own).toMatch(/^\/dev\/pts\/\d+$/);
    expect(screen).toMatch(/at \/dev\/pts\/\d+/);
    expect(screen.slice(own.length)).not.toMatch(new RegExp(`${own}\\b`));
    const mixed = await inTerminal('tty; echo hello | "$@"', "sh", "-c", where);
    expect(mixed).toContain("at not a tty");
    expect(mixed.split("\n").slice(1).join("\n")).not.toContain("/dev/pts/");
  });

  test("it is a terminal: the command sees one, its exit code comes back, and the screen is as before", async () => {
    const screen = await inTerminal(
      '"$@"; code=$?; stty -a | grep -o -e " echo " -e " icanon "; exit $code',
      "sh",
      "-c",
      "test -t 0 && test -t 1 && echo yes; exit 7",
    );
    expect(screen).toMatch(/^yes\n echo \n? ?icanon |^yes\n icanon \n echo /);
    expect(screen).toMatch(/\nended 7 b''\n$/);
  });
});

test("without a terminal its streams are pipes and files, and its exit code comes back", async () => {
  const command = `printf 'one\\ntwo\\n' | "$@" 2>${join(host.directory, "errors")} | tr a-z A-Z`;
  const words = ["/bin/sh", "-c", command, "sh", ...exec("sh", "-c", "cat; echo wrong >&2; exit 9")];
  expect((await runProgram(words, { env })).stdout).toBe("ONE\nTWO\n");
  expect((await runProgram(["cat", join(host.directory, "errors")])).stdout).toBe("wrong\n");
  expect((await run("sh", "-c", "exit 9")).code).toBe(9);
  expect((await run("no-such-program")).code).toBe(127);
  expect(nothingLeft()).toEqual([]);
});

test("a signal that would end `cutover exec` ends its command", async () => {
  const nap = `91.${Math.floor(Math.random() * 1e9)}`;
  const command = `"$@" & pid=$!; until pgrep -f "sleep ${nap}" >/dev/null; do sleep 0.1; done; kill -TERM $pid; wait $pid; echo "code $?"; sleep 0.2; pgrep -f "^sleep ${nap}"`;
  const { stdout } = await runProgram(["/bin/sh", "-c", command, "sh", ...exec("sleep", nap)], { env });
  expect(stdout).toBe("code 143\n");
});
