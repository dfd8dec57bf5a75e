import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { TestHost } from "../support.ts";

let host: TestHost;
beforeEach(async () => {
  host = await TestHost.make();
});
afterEach(() => host.close());

/** A host whose directories for sites and programs are missing, and whose secrets everybody may read. */
async function faulty(): Promise<void> {
  await mkdir(host.path("etc/apps"), { recursive: true });
  const nginx = { conf_dir: host.path("nginx/conf.d"), log_dir: host.path("nginx/log") };
  const supervisor = { conf_dir: host.path("supervisor.d"), socket: host.path("no.sock") };
  await writeFile(host.path("etc/agent.yml"), JSON.stringify({ data: host.path("data"), nginx, supervisor }));
  await writeFile(host.path("etc/apps/shop.yml"), "domains: [shop.example.com]\n");
  await writeFile(host.path("etc/apps/shop.env"), "A=b\n", { mode: 0o644 });
}

const missing = () => [host.path("nginx/conf.d"), host.path("nginx/log"), host.path("supervisor.d")];
const areThere = async () =>
  (await Promise.all(missing().map((path) => stat(path).catch(() => undefined)))).map(Boolean);
const modeOf = async (path: string) => (await stat(path)).mode & 0o777;

test("doctor alone changes nothing, and --fix asks nobody without a terminal", async () => {
  await faulty();
  expect((await host.run(["doctor"])).exit).toBe(1);
  expect(await host.run(["doctor", "--fix"])).toMatchObject({ exit: 2, err: expect.stringContaining("--yes") });
  expect(await areThere()).toEqual([false, false, false]);
});

test("doctor --fix --yes does what it can, and shows what is left; what cannot be fixed is no reason to fail", async () => {
  await faulty();
  const { exit, out } = await host.run(["doctor", "--fix", "--yes"]);
  expect(exit).toBe(1);
  for (const path of missing()) expect(out).toContain(`fixed    make the directory ${path}`);
  expect(await areThere()).toEqual([true, true, true]);
  expect(await modeOf(host.path("etc/apps/shop.env"))).toBe(0o600);
  expect(await readFile(host.path("etc/apps/shop.env"), "utf8")).toBe("A=b\n");
  const { findings } = JSON.parse((await host.run(["doctor", "--json", "--fix", "--yes"])).out);
  expect(findings.map(({ check }: { check: string }) => check)).not.toContain("directories");
  expect(findings.map(({ check }: { check: string }) => check)).toContain("supervisor-runs");
  expect(Object.keys(findings[0])).toEqual(["severity", "check", "what", "why", "fix"]);
});

test("each is asked for; what a person does not want stays", async () => {
  await faulty();
  const { out } = await host.run(["doctor", "--fix", "--check", "secrets"], { typed: "n" });
  expect(out).toContain(`Chmod 0600 ${host.path("etc/apps/shop.env")}?`);
  expect(await modeOf(host.path("etc/apps/shop.env"))).toBe(0o644);
  await host.run(["doctor", "--fix", "--check", "secrets"], { typed: "y" });
  expect(await modeOf(host.path("etc/apps/shop.env"))).toBe(0o600);
});
