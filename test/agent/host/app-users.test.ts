import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { seedArguments } from "../../../agent/deploy/steps/seed-shared.ts";
import { LocalPrivileged } from "../../../agent/host/privileged.ts";
import { appLayout } from "../../../agent/host/store/layout.ts";
import { launcherFile } from "../../../agent/host/supervisor/launch-files.ts";
import { linkedPaths, sharedSchema } from "../../../shared/config-site.ts";
import { embeddedHost } from "./embedded-host.ts";
import { release, testConfig, testSpec } from "./scratch.ts";
import { healthy, serve, unpack } from "./shop-release.ts";

const isRoot = process.geteuid?.() === 0;

test.runIf(isRoot)(
  "an app of root's agent runs as its own user, and only nginx's group reaches its sockets",
  async () => {
    const host = await embeddedHost();
    const { embedded, apps, port, dir } = host;
    writeFileSync(join(embedded.appsDir, "shop.yml"), `user: games\nlisten: ["127.0.0.1:${port}"]\n`);
    const { conf = "" } = embedded.settings.nginx;
    writeFileSync(conf, readFileSync(conf, "utf8").replace("user root root;", "user www-data www-data;"));
    const nginx = { ...embedded.settings.nginx, group: "www-data" };
    const settings = { ...embedded.settings, build_user: "uucp", nginx };
    const privileged = new LocalPrivileged({ settings, apps, launcher: launcherFile() });
    const layout = appLayout(settings.data, "shop");
    await privileged.prepareApp("shop");
    unpack(host);
    const spec = testSpec(
      testConfig({ env: { VALUE: "hello" }, server: { kind: "gunicorn", app: "shop:app", instances: 1 } }),
    );
    const run = (argv: string[]) => {
      const signal = new AbortController().signal;
      return privileged.runCommand(spec, { argv, timeoutMs: 10_000, source: "t", signal, onOutput: () => undefined });
    };

    // Nothing that runs as the app's user may write to its release.
    await privileged.shareRelease("shop", release);
    const step = privileged.stepRunner();
    const build = {
      cwd: layout.app(release),
      env: { PATH: "/usr/bin:/bin" },
      timeoutMs: 10_000,
      onLine: () => undefined,
    };
    const signal = new AbortController().signal;
    expect(await step("shop", { ...build, signal, argv: ["sh", "-c", "cat shop.py"] })).toBe(0);
    for (const script of ["id -un > built", "chmod 4777 shop.py", "echo >> shop.py", "mv shop.py other.py"])
      expect([script, await step("shop", { ...build, signal, argv: ["sh", "-c", script] })]).not.toEqual([script, 0]);
    for (const target of ["shop.py", "new", "../venv/new", "../../../venvs/key/bin/new"])
      expect(await run(["touch", target])).not.toBe(0);
    expect(await run(["mv", "../../../venvs/key", "../../../venvs/other"])).not.toBe(0);
    // As an instance's own umask makes it: for others nothing, for nginx what the directory's group gives.
    expect(await run(["sh", "-c", `umask 007; mkdir ${layout.shared}/media; echo hi > ${layout.shared}/media/a`])).toBe(
      0,
    );
    // What the project starts with is put there as the app's user, so a link leads no further than that user may go.
    const elsewhere = join(dir, "roots");
    mkdirSync(elsewhere, { mode: 0o755 });
    const seed = (one: object) => run(seedArguments(linkedPaths([sharedSchema.parse(one)])));
    expect(await run(["ln", "-s", elsewhere, `${layout.shared}/led`])).toBe(0);
    expect(await seed({ path: "x/", from: "led/x" })).not.toBe(0);
    expect(readdirSync(elsewhere)).toEqual([]);
    expect(await seed({ path: "uploads/" })).toBe(0);

    await privileged.startPrograms(spec);
    await healthy(privileged, spec);
    const [program] = (await privileged.programs("shop", release)) ?? [];
    const ids = (flag: string) => Number(execFileSync("id", [flag, "games"], { encoding: "utf8" }));
    const games = { uid: ids("-u"), gid: ids("-g") };
    expect(statSync(`/proc/${program?.pid}`).uid).toBe(games.uid);
    const modes = (path: string) => (statSync(path).mode & 0o7777).toString(8);
    const nginxGroup = Number(execFileSync("getent", ["group", "www-data"], { encoding: "utf8" }).split(":")[2]);
    expect([modes(layout.home), modes(layout.runDir(release)), modes(layout.shared)]).toEqual(["711", "2750", "2750"]);
    expect(statSync(layout.runDir(release))).toMatchObject({ uid: games.uid, gid: nginxGroup });
    const launchFile = join(layout.launchDir(release), "web-0.json");
    expect([modes(launchFile), statSync(launchFile).uid, statSync(launchFile).gid]).toEqual(["640", 0, games.gid]);

    expect(statSync(join(layout.shared, "uploads"))).toMatchObject({ uid: games.uid, gid: nginxGroup, mode: 0o42770 });
    expect(statSync(join(layout.shared, "media", "a"))).toMatchObject({ uid: games.uid, gid: nginxGroup });
    const shared = testConfig({ ...spec.config, shared: [{ url: "/media/", from: "media" }] });
    await serve({ embedded: { ...embedded, settings }, privileged }, { ...spec, config: shared });
    expect(await (await fetch(`http://127.0.0.1:${port}/media/a`)).text()).toBe("hi\n");
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("hello");
    expect(existsSync(join(dir, "data"))).toBe(true);
    await privileged.removeApp("shop");
  },
);

test.runIf(isRoot)("root's agent runs no app as root, and knows its users", async () => {
  const { embedded, apps } = await embeddedHost();
  const { settings } = embedded;
  const privileged = new LocalPrivileged({ settings, apps, launcher: launcherFile() });
  await expect(privileged.prepareApp("shop")).rejects.toMatchObject({
    code: "host_settings_invalid",
    fix: expect.stringContaining("user: shop"),
  });
  writeFileSync(join(embedded.appsDir, "shop.yml"), "user: no-such-user\n");
  await expect(privileged.prepareApp("shop")).rejects.toMatchObject({
    code: "host_settings_invalid",
    message: expect.stringContaining("no-such-user"),
  });
  writeFileSync(join(embedded.appsDir, "shop.yml"), "user: games\n");
  const grouped = { ...settings, nginx: { ...settings.nginx, group: "no-such-group" } };
  const other = new LocalPrivileged({ settings: grouped, apps, launcher: launcherFile() });
  await expect(other.startPrograms(testSpec(testConfig()))).rejects.toMatchObject({
    code: "host_settings_invalid",
    message: expect.stringContaining("no-such-group"),
  });
});
