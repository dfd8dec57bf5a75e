import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { certificateFacts } from "../../../agent/doctor/facts/certificates.ts";
import { webhookFileFacts } from "../../../agent/doctor/facts/webhooks.ts";
import { inOwnerDirectory, isRootsAlone } from "../../../agent/host/ownership/owner-file.ts";
import { agentSettingsSchema } from "../../../agent/settings.ts";
import { makeBundle } from "../../fixtures/bundle.ts";
import { HelperHost, type Talk } from "../../harness/helper-host.ts";
import { cutoverProgram, node, systemPath } from "../../harness/places.ts";
import { runProgram } from "../../harness/run.ts";
import { idsOf, users } from "../../harness/two-processes.ts";

/** The host's owner may name a file of secrets in the app's user's home. That user can put a link there, and root reads it. */
const input = { release: "20261121T103000Z-3f2c1ab", files: { "app/shop.py": "" } };
const { config } = makeBundle(input).manifest;
const spec = { app: "shop", run: input.release, release: input.release, config };
const app = idsOf(users.app);
let host: HelperHost;
let talk: Talk;
let home: string;
let file: string;
let others: string;

beforeAll(async () => {
  host = await HelperHost.open();
  home = join(host.directory, "home");
  file = join(home, "shop.env");
  others = join(host.etc, "apps/other.env");
  mkdirSync(home);
  chownSync(home, app.uid, app.gid);
  host.writeApp("shop", { user: users.app, env_file: file });
  talk = host.talk();
  await talk.done("prepareApp", { app: "shop" });
  await host.unpack(input);
  await talk.done("sealRelease", { app: "shop", release: input.release });
});
afterAll(async () => {
  talk?.kill();
  await host?.[Symbol.asyncDispose]();
});
beforeEach(() => rmSync(file, { recursive: true, force: true }));

const byApp = (...words: string[]) =>
  execFileSync("/usr/bin/setpriv", [
    ...["--reuid", String(app.uid), "--regid", String(app.gid), "--clear-groups", "--"],
    ...words,
  ]);
const asked = () => talk.ask("commandEnvironment", spec);
const env = (...words: string[]) =>
  runProgram([node, cutoverProgram, "env", ...words, "--config", host.etc], { env: { PATH: systemPath } });

describe("a file of secrets in a directory of the app's user", () => {
  test("that is a link of that user leads to no secrets of another app", async () => {
    byApp("ln", "-s", others, file);
    const { error, result } = await asked();
    expect(JSON.stringify([error, result])).not.toContain("canary-of-other");
    expect(error).toMatchObject({ code: "host_settings_invalid", detail: expect.stringContaining(home) });
    const { error: masked } = await talk.ask("maskSecrets", { app: "shop", texts: ["canary-of-other"] });
    expect(masked).toMatchObject({ code: "host_settings_invalid" });
    const before = readFileSync(others, "utf8");
    const { code, stdout, stderr } = await env("set", "shop", "SECRET=mine");
    expect([code, stdout, stderr.includes("host_settings_invalid")]).toEqual([1, "", true]);
    expect((await env("list", "shop")).stdout).not.toContain("SECRET");
    expect(readFileSync(others, "utf8")).toBe(before);
  });

  test("that lies behind a directory's link of that user leads to none either", async () => {
    const directory = join(home, "conf");
    byApp("ln", "-s", join(host.etc, "apps"), directory);
    host.writeApp("shop", { user: users.app, env_file: join(directory, "other.env") });
    const { error } = await asked();
    host.writeApp("shop", { user: users.app, env_file: file });
    expect(error).toMatchObject({ code: "host_settings_invalid" });
  });

  test("that is not there yet is written nowhere else, by no link of that user", async () => {
    const directory = join(home, "way");
    byApp("ln", "-sfn", join(host.etc, "apps"), directory);
    host.writeApp("shop", { user: users.app, env_file: join(directory, "fresh.env") });
    const { code, stderr } = await env("set", "shop", "SECRET=mine");
    host.writeApp("shop", { user: users.app, env_file: file });
    expect([code, existsSync(join(host.etc, "apps/fresh.env"))]).toEqual([1, false]);
    expect(stderr).toContain("host_settings_invalid");
    // What leads nowhere makes way for the file, in that user's own directory.
    byApp("ln", "-s", join(host.etc, "apps/fresh.env"), file);
    expect((await env("set", "shop", "SECRET=mine")).code).toBe(0);
    expect([lstatSync(file).isFile(), statSync(file).uid, existsSync(join(host.etc, "apps/fresh.env"))]).toEqual([
      ...[true, app.uid, false],
    ]);
  });

  test("whose directory that user swaps for a link all the while leads root nowhere else", async () => {
    const directory = join(home, "swapped");
    const away = join(host.etc, "apps");
    byApp("mkdir", directory);
    host.writeApp("shop", { user: users.app, env_file: join(directory, "fresh.env") });
    const swap = `while :; do mv -T "$0" "$0.real"; ln -sfn "$1" "$0"; rm "$0"; mv -T "$0.real" "$0"; done 2>/dev/null`;
    const ids = ["--reuid", String(app.uid), "--regid", String(app.gid), "--clear-groups", "--"];
    const swapping = spawn("/usr/bin/setpriv", [...ids, "sh", "-c", swap, directory, away], { stdio: "ignore" });
    try {
      for (let turn = 0; turn < 8; turn++) {
        await env("set", "shop", `TURN=${turn}`);
        expect(readdirSync(away).filter((name) => name.startsWith("fresh"))).toEqual([]);
      }
    } finally {
      swapping.kill("SIGKILL");
      host.writeApp("shop", { user: users.app, env_file: file });
    }
  });

  test("that is a pipe is not waited for", async () => {
    byApp("mkfifo", file);
    expect((await asked()).error).toMatchObject({ code: "host_settings_invalid" });
    expect((await env("set", "shop", "A=1")).code).toBe(1);
  });

  test("counts if it is that user's own, and `cutover env set` writes it", async () => {
    writeFileSync(file, "OWN=1\n");
    chownSync(file, app.uid, app.gid);
    expect((await asked()).result).toMatchObject({ env: { OWN: "1" } });
    expect((await env("set", "shop", "MORE=2")).code).toBe(0);
    expect((await asked()).result).toMatchObject({ env: { OWN: "1", MORE: "2" } });
    expect(statSync(file).uid).toBe(app.uid);
  });

  test("has no mode set by `cutover doctor --fix`, which could be led elsewhere", async () => {
    byApp("touch", file);
    expect([await isRootsAlone(file), await isRootsAlone(others)]).toEqual([false, true]);
    const open = join(host.directory, "open");
    mkdirSync(open);
    chmodSync(open, 0o775);
    symlinkSync(others, join(open, "link"));
    expect(await isRootsAlone(join(open, "link"))).toBe(false);
  });
});

test("nothing is written to where a link led that is there only for a moment", async () => {
  const shared = join(host.directory, "shared");
  mkdirSync(shared);
  chmodSync(shared, 0o1777);
  // The link was there when its end was looked up, and is gone when the way is looked at.
  const place = { file: others, named: join(shared, "shop.env") };
  const used: string[] = [];
  await expect(inOwnerDirectory(place, app.uid, async ({ at }) => used.push(at("other.env")))).rejects.toThrow(
    "ENOENT",
  );
  expect(used).toEqual([]);
});

test("a link of root's leads to a file of root's", async () => {
  const vault = join(host.directory, "vault.env");
  writeFileSync(vault, "VAULT=1\n", { mode: 0o600 });
  const link = join(host.etc, "apps/linked.env");
  symlinkSync(vault, link);
  host.writeApp("shop", { user: users.app, env_file: link });
  expect((await asked()).result).toMatchObject({ env: { VAULT: "1" } });
});

test("a pipe in the place of a certificate or of a webhook's file does not stop the doctor", async () => {
  byApp("mkfifo", file);
  const settings = agentSettingsSchema.parse({
    tls: { certificate: file, key: file },
    webhooks: [{ url_file: file }],
  });
  const [certificate] = await certificateFacts(settings, [], []);
  expect(certificate?.problem).toContain("not a valid PEM file");
  const [webhook] = await webhookFileFacts(settings, []);
  expect(webhook?.problem).toContain("cannot be read");
});
