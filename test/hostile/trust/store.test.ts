import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { lstatSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { Fleet, versionOf } from "../../e2e/hosts.ts";
import { quickShop } from "../../fixtures/shop.ts";
import { repository, systemPath } from "../../harness/places.ts";
import { idsOf, users } from "../../harness/two-processes.ts";

/** Found by breaking in (T3): whoever got into a running app could change the next release while it was built. */
let fleet: Fleet;
const config = { keep_warm: "0s", release: { command: "python -c pass" } } as const;

beforeAll(async () => {
  fleet = await Fleet.start(1, { shop: { ...quickShop, python: { wheels: "vendor" } } });
  await host().agent.startWithHelper();
  await fleet.deploy({ version: "v1", config });
});
afterAll(() => fleet?.[Symbol.asyncDispose]());

function host() {
  const [first] = fleet.hosts;
  if (first === undefined) throw new Error("no host");
  return first;
}

const home = () => join(host().agent.directory, "data/apps/shop");

/** As the app's user, in a session of its own and with an empty environment: no deploy finds it. */
async function grabber(): Promise<{ child: ChildProcess; grabbed: string[] }> {
  const { uid, gid } = idsOf(users.app);
  const drop = ["--reuid", String(uid), "--regid", String(gid), "--clear-groups", "--"];
  const script = join(repository, "test/hostile/trust/grabber.py");
  const child = spawn("setpriv", [...drop, "/usr/bin/python3", script, home()], {
    env: { PATH: systemPath },
    detached: true,
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const grabbed: string[] = [];
  child.stdout?.setEncoding("utf8").on("data", (text: string) => grabbed.push(...text.trim().split("\n")));
  await once(child.stdout ?? child, "data");
  return { child, grabbed };
}

/** Everything below objects/ and releases/ that somebody else than the agent owns, or could write to. */
function writable(): string[] {
  const agent = idsOf(users.agent).uid;
  const found: string[] = [];
  const look = (path: string) => {
    // It may be removed meanwhile.
    const status = lstatSync(path, { throwIfNoEntry: false });
    if (status === undefined) return;
    const open = !status.isSymbolicLink() && (status.mode & 0o022) !== 0;
    if (status.uid !== agent || open) found.push(`${path} ${status.uid} ${(status.mode & 0o7777).toString(8)}`);
    if (status.isDirectory()) for (const name of entries(path)) look(join(path, name));
  };
  look(join(home(), "objects"));
  for (const name of entries(join(home(), "releases"))) look(join(home(), "releases", name));
  return found;
}

function entries(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

test("T3 a process of the app's user that lives through a build cannot change the next release", async () => {
  const { child, grabbed } = await grabber();
  await fleet.deploy({ version: "v2", config });
  await sleep(200);
  expect(child.exitCode).toBeNull();
  child.kill("SIGKILL");
  expect(grabbed).toEqual(["ready"]);
  expect((await versionOf(host().site)).version).toBe("v2");
  const { code, stdout } = await host().agent.cutover("verify", "shop");
  expect(stdout).toMatch(/^shop: all as it was unpacked \(2 releases, /);
  expect(code).toBe(0);
});

test("T3 nobody but the agent can write below objects/ and releases/ at any time of a deploy", async () => {
  const seen = new Set<string>();
  let looks = 0;
  const deploying = fleet.deploy({ version: "v3", config }).finally(() => {
    looks = -looks;
  });
  while (looks >= 0) {
    for (const path of writable()) seen.add(path);
    looks++;
    await sleep(5);
  }
  await deploying;
  expect(-looks).toBeGreaterThan(20);
  expect([...seen]).toEqual([]);
});

describe("nginx's ETag follows the content:", () => {
  const etags = async () => {
    const answers = ["a.css", "b.css", "tile.svg"].map((name) => fetch(`${host().site}/static/shop/${name}`));
    return (await Promise.all(answers)).map(({ status, headers }) => {
      expect(status).toBe(200);
      return headers.get("etag");
    });
  };
  const deploy = async (version: string, contents: [string, string]) => {
    await fleet.checkout({ version, config });
    for (const [index, name] of ["a.css", "b.css"].entries())
      writeFileSync(join(fleet.workspace, "shop/static/shop", name), contents[index] ?? "");
    const { exitCode, stdout } = await fleet.action();
    expect(exitCode, stdout).toBe(0);
  };

  test("a file that did not change keeps it over deploys, and two that exchange their contents do not", async () => {
    await deploy("v4", ["a { }\n", "b { }\n"]);
    const [a, b, same] = await etags();
    expect(a).not.toBe(b);
    await deploy("v5", ["b { }\n", "a { }\n"]);
    expect(await etags()).toEqual([b, a, same]);
  });
});
