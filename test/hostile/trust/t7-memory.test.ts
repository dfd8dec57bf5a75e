import { readFileSync } from "node:fs";
import { get } from "node:http";
import { join } from "node:path";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { zstdCompressSync } from "node:zlib";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { pathOf } from "../../../shared/call.ts";
import { encodeManifest, manifestName } from "../../../shared/manifest.ts";
import { accepted, calls, type DeploymentView, deploymentView } from "../../../shared/protocol.ts";
import { makeBundle, tarOf } from "../../fixtures/bundle.ts";
import { type EmbeddedAgent, startAgent } from "../../harness/agent.ts";
import { call } from "../../harness/deploy.ts";
import { MemoryCgroup } from "../../harness/memory-cgroup.ts";
import { freePorts } from "../../harness/ports.ts";

/**
 * T7: one signer of one app ended the agent by memory. Here the agent runs as on a host, by its own user beside the helper, in
 * a cgroup with the limit of its unit, and everything of T7 is done to it.
 *
 * What is measured: `RssAnon` of the agent's process, its own memory without that of files, every 20 ms. Idle is what it has
 * two seconds after some small deployments, since a program's first work loads and compiles what it then keeps.
 */
const unitLimit = 512 * 1024 ** 2;
const megabyte = 1024 ** 2;
/** `npm run test:memory` sets it to 2,000. */
const chatty = Number(process.env.CUTOVER_CHATTY ?? 40);
/** Megabytes above idle. */
const most = 64;
const mostForLargeManifest = 128;

const root = process.geteuid?.() === 0;
const group = root ? MemoryCgroup.make(unitLimit) : undefined;
let agent: EmbeddedAgent;
let idle: number;
let peak = 0;
let sampling: NodeJS.Timeout | undefined;

beforeAll(async () => {
  if (group === undefined) return;
  agent = await startAgent({ name: "memory" });
  await agent.addApp({ key: await agent.newKey(), ports: await freePorts(1) });
  await agent.startWithHelper(group.enter);
  for (let n = 0; n < 5; n++) await deployChatty(1000);
  await sleep(2000);
  idle = ownMemory();
  sampling = setInterval(() => {
    peak = Math.max(peak, ownMemory());
  }, 20);
});
afterAll(async () => {
  clearInterval(sampling);
  await agent?.[Symbol.asyncDispose]();
  await group?.[Symbol.asyncDispose]();
});

/** Of the agent's process, in megabytes. */
function ownMemory(): number {
  const status = readFileSync(`/proc/${agent.pid}/status`, "utf8");
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}

let last = 0;

/** A release whose command says so many bytes and then fails. */
function chattyBundle(bytes: number): Buffer {
  last += 1;
  const release = `20261121T103000Z-${last.toString(16).padStart(7, "0")}`;
  const say = `print("\\n".join(["Ж" + "x" * 997] * ${Math.ceil(bytes / 1000)}))\nraise SystemExit(1)\n`;
  return makeBundle({
    release,
    files: { "app/say.py": say, "app/shop.py": "application = None\n" },
    config: { python: { wheels: "none" }, release: { command: "python say.py" } },
  }).bytes;
}

async function begin(bytes: number): Promise<string> {
  const path = pathOf(calls.deploy, { app: "shop" }, { activate: true });
  return accepted.parse(await call(agent, "POST", path, Readable.from([chattyBundle(bytes)]))).deployment;
}

async function end(id: string): Promise<DeploymentView> {
  for (;;) {
    const view = deploymentView.parse(await call(agent, "GET", pathOf(calls.deployment, { id }, { wait: 60 })));
    if (view.outcome !== "running") return view;
  }
}

async function deployChatty(bytes: number): Promise<void> {
  const view = await end(await begin(bytes));
  expect(view).toMatchObject({ outcome: "failed", failure: { code: "release_command_failed" } });
}

/** Asks for a deployment's events and never reads them. */
async function follow(id: string): Promise<void> {
  const socketPath = join(agent.directory, "agent.sock");
  await new Promise<void>((resolve, reject) => {
    const asked = get({ socketPath, path: pathOf(calls.events, { id }), agent: false }, (answer) => {
      answer.pause();
      resolve();
    });
    asked.on("error", reject);
    onTestFinished(() => void asked.destroy());
  });
}

/** @throws Error unless the agent lives, in its limits */
async function expectBounded(what: string, bound = most): Promise<void> {
  await sleep(100);
  // What everybody may measure again.
  process.stdout.write(
    `T7 memory: ${what}: idle ${Math.round(idle)} MB, peak +${Math.round(peak - idle)}, now +${Math.round(ownMemory() - idle)}, ` +
      `cgroup ${Math.round((group?.peak ?? 0) / megabyte)}\n`,
  );
  expect(group?.kills).toBe(0);
  expect(agent.log).not.toContain("heap out of memory");
  expect(peak - idle).toBeLessThan(bound);
  await call(agent, "GET", pathOf(calls.app, { app: "shop" }));
}

const bounded = test.runIf(group !== undefined);
/** On a busy machine, too. */
const patient = { timeout: 600_000 };

/** Sends three bundles with no more than a manifest. @returns how they were refused */
async function sendManifest(size: number, sign: string): Promise<string[]> {
  const { manifest } = makeBundle({ app: "other" });
  const path = (index: number) => `app/${String(index).padStart(7, "0")}${"x".repeat(90)}${sign}`;
  const files = Array.from({ length: (size * megabyte) / 215 }, (_, index) => ({
    ...{ path: path(index), mode: 0o644 as const, size: 0, sha256: "a".repeat(64) },
  }));
  const content = encodeManifest({ ...manifest, files });
  const body = zstdCompressSync(tarOf([{ path: manifestName, content }]));
  const codes: string[] = [];
  for (let n = 0; n < 3; n++) {
    const sent = call(agent, "POST", pathOf(calls.deploy, { app: "shop" }, { activate: true }), Readable.from([body]));
    const refusal = await sent.catch((thrown: Error) => thrown.message);
    codes.push(/"code":"(\w+)"/.exec(String(refusal))?.[1] ?? String(refusal));
  }
  return codes;
}

bounded.each([
  ["60 MiB and a character beyond Latin-1", "Ж"],
  ["60 MiB in ASCII", ""],
])("T7a: a manifest of %s leaves the agent in its limits", async (what, sign) => {
  expect(new Set(await sendManifest(60, sign))).toEqual(new Set(["bundle_too_large"]));
  await expectBounded(what);
});

bounded("T7b: fifteen deployments that say four megabytes each, with followers who read nothing", patient, async () => {
  for (let n = 0; n < 15; n++) {
    const id = await begin(6 * megabyte);
    await follow(id);
    await follow(id);
    expect((await end(id)).outcome).toBe("failed");
  }
  await expectBounded("fifteen deployments of 4 MB");
});

bounded(`T7b: ${chatty} chatty deployments`, { timeout: patient.timeout + chatty * 5000 }, async () => {
  for (let n = 0; n < chatty; n++) {
    await deployChatty(100_000);
    if (n % 250 === 249) await expectBounded(`${n + 1} chatty deployments`);
  }
  await expectBounded(`${chatty} chatty deployments`);
});

/**
 * The largest manifests that the host takes by default, some 95,000 files: those may have more than the 64 MB, since the agent
 * must have their files at hand. They are last, so that what they leave behind does not count for the others.
 */
bounded.each([
  ["as much as the host takes, of another app", 19.5, "", "manifest_mismatch"],
  ["as much with characters beyond Latin-1, of another app", 13, "Ж", "manifest_mismatch"],
  ["20 MiB that need twice of it", 19.5, "Ж", "bundle_too_large"],
])("T7a: a manifest of %s leaves the agent far from its unit's limit", async (what, size, sign, code) => {
  expect(new Set(await sendManifest(size, sign))).toEqual(new Set([code]));
  await expectBounded(what, mostForLargeManifest);
});
