import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { certificateRequest } from "../../../agent/host/certificates/certificate-request.ts";
import { makeBundle } from "../../fixtures/bundle.ts";
import { openAuthority } from "../../harness/authority.ts";
import { HelperHost, type Talk } from "../../harness/helper-host.ts";
import { asAgent, idsOf, users } from "../../harness/two-processes.ts";

/**
 * A taken-over agent acts as the apps' users, and may add entries to an app's directory. A directory that such a user has made
 * is neither the agent's nor a link, and its links would lead root to where it changes owners.
 */
let host: HelperHost;
let talk: Talk;
const app = idsOf(users.app);

beforeEach(async () => {
  host = await HelperHost.open();
  talk = host.talk();
  await talk.done("prepareApp", { app: "shop" });
});
afterEach(async () => {
  talk?.kill();
  await host?.[Symbol.asyncDispose]();
});

describe("T5 a directory that an app's user has made, and the agent moves into the place of root's", () => {
  test.each(["logs", "run", "launch", "releases", "venvs", "ports", "build"])("%s is not used", async (name) => {
    const { home, shared } = host.layout();
    const victim = join(host.directory, "victim");
    mkdirSync(victim, { mode: 0o700 });
    // A removal that was interrupted leaves the app's directory without some of root's.
    rmSync(join(home, name), { recursive: true, force: true });
    const trap = join(shared, "trap");
    mkdirSync(trap);
    chmodSync(trap, 0o777);
    for (const link of ["deployments", "20261121T103000Z-3f2c1ab"]) symlinkSync(victim, join(trap, link));
    chownSync(trap, app.uid, app.gid);
    // What the app's user does for the agent, and then the agent.
    chmodSync(shared, 0o777);
    execFileSync("/usr/bin/setpriv", [...asAgent().slice(1), "mv", "-T", trap, join(home, name)]);

    const { error } =
      name === "build"
        ? await talk.ask("buildEnvironment", { app: "shop", release: await release() })
        : await talk.ask("prepareApp", { app: "shop" });

    expect(statSync(victim)).toMatchObject({ uid: 0, gid: 0 });
    expect(statSync(victim).mode & 0o777).toBe(0o700);
    expect(error).toMatchObject({ code: "host_settings_invalid" });
    expect(statSync(join(home, name)).uid).toBe(app.uid);
  });

  test.each(["build", "venvs", "run", "launch", "ports", "logs"])(
    "what a link %s of its own leads to is not removed",
    async (name) => {
      const { home } = host.layout();
      const victim = join(host.directory, "victim");
      mkdirSync(join(victim, "kept"), { recursive: true });
      rmSync(join(home, name), { recursive: true, force: true });
      execFileSync("/usr/bin/setpriv", [...asAgent().slice(1), "ln", "-sT", victim, join(home, name)]);
      for (const method of ["collectEnvironments", "collectLogs"]) await talk.ask(method, { app: "shop", kept: [] });
      await talk.ask("removePrograms", { app: "shop", run: "20261121T103000Z-3f2c1ab" });
      expect(readdirSync(victim)).toEqual(["kept"]);
    },
  );

  test.each(["run", "launch"])("no program is started by way of %s", async (name) => {
    const input = { release: "20261121T103000Z-3f2c1ab", files: { "app/shop.py": "" } };
    const id = await host.unpack(input);
    await talk.done("sealRelease", { app: "shop", release: id });
    const { home } = host.layout();
    const victim = join(host.directory, "victim");
    mkdirSync(victim, { mode: 0o700 });
    rmSync(join(home, name), { recursive: true, force: true });
    mkdirSync(join(home, name));
    symlinkSync(victim, join(home, name, id));
    chownSync(join(home, name), app.uid, app.gid);
    const { config } = makeBundle(input).manifest;
    const { error } = await talk.ask("startPrograms", { app: "shop", run: id, release: id, config });
    expect(statSync(victim)).toMatchObject({ uid: 0, gid: 0 });
    expect(readdirSync(victim)).toEqual([]);
    expect(error).toMatchObject({ code: "host_settings_invalid" });
  });

  test("no certificate is written by way of a directory that the agent has made for root", async () => {
    await talk.done("prepareApp", { app: "other" });
    const { home, tls } = host.layout("other");
    const victim = join(host.directory, "victim");
    mkdirSync(victim, { mode: 0o755 });
    const { key, request } = await certificateRequest(["other.example.com"]);
    const chain = openAuthority(host.directory).sign(request);
    const { validFrom, fingerprint256 } = new X509Certificate(chain);
    const day = new Date(validFrom).toISOString().slice(0, 10).replaceAll("-", "");
    const version = `${day}-${fingerprint256.replaceAll(":", "").slice(0, 16).toLowerCase()}`;
    const byAgent = (words: string[], input?: string) =>
      execFileSync("/usr/bin/setpriv", [...asAgent().slice(1), ...words], input === undefined ? {} : { input });
    byAgent(["mkdir", tls]);
    byAgent(["tee", join(tls, "next.key")], key);
    byAgent(["ln", "-sT", victim, join(tls, version)]);
    byAgent(["ln", "-sT", version, join(tls, "live")]);

    const { error } = await talk.ask("installCertificate", { app: "other", chain });

    expect(readdirSync(victim)).toEqual([]);
    expect(statSync(victim).mode & 0o777).toBe(0o755);
    expect(error).toMatchObject({ code: "host_settings_invalid" });
    expect((await talk.ask("certificate", { app: "other" })).error).toMatchObject({ code: "host_settings_invalid" });
    expect(readdirSync(home)).toContain("tls");
  });

  test("an app's own directory goes to the user that the app has now", async () => {
    host.writeApp("shop", { user: users.otherApp });
    await talk.done("prepareApp", { app: "shop" });
    expect(statSync(host.layout().shared).uid).toBe(idsOf(users.otherApp).uid);
  });
});

function release(): Promise<string> {
  return host.unpack({ release: "20261121T103000Z-3f2c1ab", files: { "app/shop.py": "" } });
}

test("another app's user reads nothing of a project, neither while it is unpacked nor when it is open to its app", async () => {
  const files = { "app/shop/settings.py": "KEY = 1\n" };
  const id = await host.unpack({ release: "20261121T103000Z-3f2c1ab", files }, { closed: true });
  const { home, app: project } = host.layout();
  const file = join(project(id), "shop/settings.py");
  const reads = (user: string): boolean => {
    const { uid, gid } = idsOf(user);
    const drop = ["--reuid", String(uid), "--regid", String(gid), "--clear-groups", "--"];
    try {
      return execFileSync("/usr/bin/setpriv", [...drop, "cat", file], { stdio: "pipe" }).length > 0;
    } catch {
      return false;
    }
  };
  expect(existsSync(home)).toBe(true);
  expect([reads(users.otherApp), reads(users.app), reads(users.agent)]).toEqual([false, false, true]);
  await talk.done("sealRelease", { app: "shop", release: id });
  expect([reads(users.otherApp), reads(users.app), reads(users.agent)]).toEqual([false, true, true]);
});
