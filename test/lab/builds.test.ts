import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { repository } from "../harness/places.ts";
import { uniqueNap } from "../harness/processes.ts";
import { describeLab } from "./describe-lab.ts";
import { LabFleet } from "./lab-fleet.ts";
import type { LabHost } from "./lab-host.ts";
import { SmallApp } from "./small-app.ts";

const minutes = 60_000;
const home = "/var/lib/cutover/apps/shop";
/** From which systemd takes the ids of dynamic users. */
const dynamic = { first: 61_184, last: 65_519 };

interface Found {
  uid: number;
  read: Record<string, string>;
  make: Record<string, string>;
  calls: Record<string, string>;
}

describeLab("a build on a host with systemd", () => {
  let fleet: LabFleet;
  let release: string;
  const app = new SmallApp();
  const host = () => fleet.hosts[0] as LabHost;
  const nap = uniqueNap();
  const places = {
    nap,
    read: [
      ...["/etc/cutover/apps/shop.env", "/etc/cutover/apps/other.env", "/etc/shadow", "/run/cutover/agent.sock"],
      ...[
        `${home}/launch`,
        `${home}/state.json`,
        `${home}/shared`,
        "/var/lib/cutover/apps/other",
        "/var/lib/cutover/audit",
      ],
    ],
    make: [
      home,
      `${home}/releases`,
      `${home}/shared`,
      `${home}/run`,
      "/var/lib/cutover",
      "/etc",
      "/run",
      "/var/tmp/..",
      "/usr",
    ],
  };

  beforeAll(async () => {
    fleet = await LabFleet.start(1);
    await fleet.install(host(), await fleet.package());
    await fleet.addShop(host());
    await host().check("useradd", "--system", "other");
    const signer = ["--key", "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"];
    await host().run("cutover", "app", "add", "other", ...signer, "--user", "other", "--listen", "81");
    for (const name of ["shop", "other"]) {
      await host().write(`/etc/cutover/apps/${name}.env`, "SECRET=of-the-app\n");
      await host().check("chmod", "600", `/etc/cutover/apps/${name}.env`);
    }
    const source = (path: string) => readFile(join(repository, path), "utf8");
    const spy = await source("test/lab/spy.py");
    const packed = await app.pack(
      {
        "requirements.txt": "--no-index\n./kit\n",
        "kit/pyproject.toml":
          '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n[project]\nname = "kit"\nversion = "1"\n',
        "kit/backend.py": await source("test/hostile/trust/backend.py"),
        "kit/evil.py": spy,
        "kit/places.json": JSON.stringify(places),
        "spy.py": spy,
        "places.json": JSON.stringify(places),
      },
      { python: { wheels: "index" }, release: { command: "python spy.py" } },
    );
    const { outcome, failure } = await app.send(host(), packed);
    expect(outcome, JSON.stringify(failure)).toBe("succeeded");
    release = packed.release;
  }, 5 * minutes);
  afterAll(async () => {
    await fleet?.[Symbol.asyncDispose]();
    await app[Symbol.asyncDispose]();
  });

  const found = async (pattern: string) =>
    (await host().check("sh", "-c", `for file in ${pattern}; do cat "$file"; echo; done`))
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Found);

  test("runs as a user that systemd made, which sees nothing of the host's secrets and can write nowhere else", async () => {
    const all = await found(`${home}/venvs/*/found*`);
    expect(all.length).toBeGreaterThanOrEqual(3);
    for (const { uid, read, make, calls } of all) {
      expect(uid).toBeGreaterThanOrEqual(dynamic.first);
      expect(uid).toBeLessThanOrEqual(dynamic.last);
      for (const tried of [...Object.entries(read), ...Object.entries(make)]) {
        expect(tried).toEqual([
          tried[0],
          expect.stringMatching(
            /^(Permission denied|No such file or directory|Read-only file system|No such device or address)$/,
          ),
        ]);
      }
      expect(calls).toEqual({
        ptrace: "Operation not permitted",
        mount: "Operation not permitted",
        packet: expect.stringMatching(/not supported|not permitted/),
      });
    }
  });

  test("leaves an environment of root's, and no process, no scratch and nothing in /tmp", async () => {
    const writable = `find ${home}/venvs ! -type l ( ! -user root -o -perm /022 )`.split(" ");
    expect(await host().check(...writable)).toBe("");
    expect(await host().check("readlink", `${home}/releases/${release}/venv`)).toMatch(
      /^\.\.\/\.\.\/venvs\/[0-9a-f]{16}\n$/,
    );
    expect(await host().check("ls", "-A", `${home}/build`)).toBe("");
    expect((await host().run("pgrep", "-f", `sleep ${nap}`)).stdout).toBe("");
    expect((await host().run("ls", "/tmp/left-by-a-step", "/var/tmp/left-by-a-step")).stdout).toBe("");
    expect(
      await host().check(
        "sh",
        "-c",
        "ls /run/systemd/dynamic-uid 2>/dev/null; ls -d /var/lib/private/cutover* 2>/dev/null || true",
      ),
    ).not.toContain("cutover-step");
  });

  test("and its release command runs as the app's user, with a /tmp of its own and what programs need of the kernel", async () => {
    const [command] = await found(`${home}/shared/found`);
    expect(`${command?.uid}\n`).toBe(await host().check("id", "-u", "shop"));
    expect(command?.calls.ptrace).toBe("Operation not permitted");
    expect(command?.read["/etc/cutover/apps/shop.env"]).toBe("Permission denied");
  });
});
