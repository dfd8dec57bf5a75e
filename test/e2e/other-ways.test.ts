import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cutoverProgram, node, systemPath } from "../harness/places.ts";
import { Fleet, versionOf } from "./hosts.ts";

let fleet: Fleet;
let bundles: string;

beforeAll(async () => {
  fleet = await Fleet.start(1);
  bundles = await mkdtemp(join(tmpdir(), "cutover-bundles-"));
});
afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  await rm(bundles, { recursive: true, force: true });
});

function host() {
  const [first] = fleet.hosts;
  if (first === undefined) throw new Error("no host");
  return first;
}

test("with the distribution's own libraries, nothing is installed", async () => {
  const python = { wheels: "none", system_site_packages: true } as const;
  const { stdout } = await fleet.deploy({ version: "v1", config: { python } });
  // A word: a key in the mask lines may have the letters.
  expect(stdout).not.toMatch(/\bpip\b/i);
  expect((await versionOf(host().site)).version).toBe("v1");
});

test("any program that serves HTTP on a socket can be deployed", async () => {
  const command =
    "python -m gunicorn --bind unix:{socket} --umask 0 --workers {workers} --threads 4 shop.wsgi:application";
  const server = { kind: "command", command, instances: 3, workers: 1 } as const;
  await fleet.deploy({ version: "v2", config: { server } });
  expect((await versionOf(host().site)).version).toBe("v2");
  const { instances, live } = await host().agent.appView();
  expect(instances.filter(({ run }) => run === live).map(({ slots }) => slots)).toEqual([20, 20, 20]);
});

/** Runs the lines of a shell as agent/http/README.md shows them. */
async function shell(script: string): Promise<string> {
  const { agent, key } = host();
  const settings = [
    `HOST=${new URL(agent.url).host}`,
    `cutover() { ${node} ${cutoverProgram} "$@"; }`,
    `token() { cutover token --key ${key.file} --host "$HOST" --app shop --header "$@"; }`,
  ];
  const argv = ["-c", ["set -eu", ...settings, script].join("\n")];
  const { stdout } = await promisify(execFile)("bash", argv, { cwd: bundles, env: { PATH: systemPath } });
  return stdout;
}

test("curl with tokens: a packed bundle is deployed, followed, read and rolled back", async () => {
  await fleet.checkout({ version: "v3" });
  const { outputs } = await fleet.action({ "dry-run": "true" }, { RUNNER_TEMP: bundles });
  const accepted = await shell(
    `curl -sS --fail-with-body -H "$(token deploy ${outputs.bundle})" -T ${outputs.bundle} -X POST "http://$HOST/v1/apps/shop/releases"`,
  );
  const { deployment, release } = JSON.parse(accepted);
  expect(release).toBe(outputs.release);
  const events = await shell(`curl -sSN "http://$HOST/v1/deployments/${deployment}/events"`);
  const last = JSON.parse(events.trim().split("\n").at(-1) ?? "");
  expect(last).toMatchObject({ type: "end", deployment: { outcome: "succeeded", release } });
  const sse = await shell(
    `curl -sSN -H "Accept: text/event-stream" "http://$HOST/v1/deployments/${deployment}/events"`,
  );
  expect(sse).toContain(`id: ${last.id}\nevent: end\n`);
  const view = JSON.parse(await shell(`curl -sS -H "$(token read)" "http://$HOST/v1/apps/shop"`));
  expect(view.live).toBe(release);
  const again = JSON.parse(await shell(`curl -sS -H "$(token redeploy)" -X POST "http://$HOST/v1/apps/shop/redeploy"`));
  expect(again.release).toBe(release);
  const fresh = JSON.parse(await shell(`curl -sS "http://$HOST/v1/deployments/${again.deployment}?wait=60"`));
  expect(fresh.outcome).toBe("succeeded");
  const back = JSON.parse(await shell(`curl -sS -H "$(token rollback)" -X POST "http://$HOST/v1/apps/shop/rollback"`));
  const ended = JSON.parse(await shell(`curl -sS "http://$HOST/v1/deployments/${back.deployment}?wait=60"`));
  expect(ended.outcome).toBe("succeeded");
  expect((await versionOf(host().site)).version).toBe("v2");
});

test("curl without a token: over the admin socket, and nowhere else", async () => {
  const socket = join(host().agent.directory, "agent.sock");
  const view = JSON.parse(await shell(`curl -sS --unix-socket ${socket} http://agent/v1/apps/shop`));
  expect(view.app).toBe("shop");
  const refused = JSON.parse(await shell(`curl -sS "http://$HOST/v1/apps/shop"`));
  expect(refused).toMatchObject({ status: 401, code: "unauthorized" });
});
