import { createHash } from "node:crypto";
import { readdirSync, statSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { type Archive, Bundle } from "../../../action/bundle/bundle.ts";
import { listFiles, makeManifest, readForBundle } from "../../../action/bundle/manifest.ts";
import { AgentClient } from "../../../action/client/agent-client.ts";
import { noManifests } from "../../../action/client/live-files.ts";
import { usualTiming } from "../../../action/client/timing.ts";
import { HostApp } from "../../../action/hosts/host-app.ts";
import { HostLog } from "../../../action/hosts/host-log.ts";
import { HostUpload } from "../../../action/hosts/host-upload.ts";
import { Log } from "../../../action/runner/log.ts";
import { keyTokens } from "../../../action/tokens/key-tokens.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { generateKey } from "../../../shared/key.ts";
import type { FilesView } from "../../../shared/protocol.ts";
import { FakeAgent, type FakeAgentOptions } from "../../fakes/agent.ts";
import { RecordedConsole } from "../recorded-console.ts";
import { configOf, never, refusal, Workspace } from "../workspace.ts";

const quick = { ...usualTiming, firstDelayMs: 5 };
/** For an agent that will not answer; one that will may take its time on a busy machine. */
const silenceMs = 100;
const open: (Disposable | AsyncDisposable)[] = [];

afterEach(async () => {
  for (const each of open.splice(0)) {
    if (Symbol.asyncDispose in each) await each[Symbol.asyncDispose]();
    else each[Symbol.dispose]();
  }
});

const project = { "shop/a.py": "a = 1\n", "shop/wsgi.py": "application = 2\n", "shop/z.py": "z = 1\n" };
const all = Object.keys(project).map((name) => `app/${name}`);
const sendOptions = { releaseCommand: false, firstHost: true, leaseMs: 0, signal: never };

/** What a host says that has a release of these files. */
function live(release: string, files: Record<string, string>): FilesView {
  const described = Object.entries(files).map(([name, text]) => ({
    path: `app/${name}`,
    mode: 0o644 as const,
    size: Buffer.byteLength(text),
    sha256: createHash("sha256").update(text).digest("hex"),
  }));
  const digest = `sha256:${createHash("sha256").update(release).digest("hex")}`;
  return { release, digest, files: described };
}

const one = live("20261120T090000Z-1111111", { ...project, "shop/wsgi.py": "application = 1\n", "shop/gone.py": "" });
const two = live("20261120T100000Z-2222222", { "shop/z.py": "z = 1\n" });

async function uploadsTo(...options: FakeAgentOptions[]) {
  const pair = await generateKey();
  const tokens = await keyTokens({ signingKey: pair.privatePem, env: {}, now: Date.now, mask: () => undefined });
  const log = new RecordedConsole();
  const shown = new Log(log);
  const journal: string[] = [];
  const agents: FakeAgent[] = [];
  const uploads: HostUpload[] = [];
  for (const [index, each] of options.entries()) {
    const agent = await FakeAgent.start({ ...each, journal, name: "abc"[index] ?? "x" }, pair);
    open.push(agent);
    agents.push(agent);
    const timing = each.refuseFiles === "silence" ? { ...quick, filesMs: silenceMs } : quick;
    const client = new AgentClient(agent.url, { timing });
    const hostLog = new HostLog(shown, "web", options.length === 1 ? "live" : "groups");
    const app = new HostApp({ app: "shop", client, tokens, waitMs: 0, allowOlder: false, manifests: noManifests });
    uploads.push(new HostUpload(app, hostLog));
  }
  for (const upload of uploads) upload.askForBase(never);
  return { ...makeBundle(), agents, uploads, log, journal };
}

function makeBundle() {
  const space = new Workspace(Object.fromEntries(Object.entries(project).map(([name, text]) => [`p/${name}`, text])));
  open.push(space);
  const config = configOf();
  const files = readForBundle(listFiles(config, space.at("p"), []));
  const made = new Date("2026-11-21T10:30:00Z");
  const manifest = makeManifest({ config, files, made, commit: "3f2c1ab".padEnd(40, "0"), repository: "" });
  const packed: Archive[] = [];
  const onPacked = (archive: Archive) => void packed.push(archive);
  const bundle = new Bundle({ manifest, files, directory: space.path, signal: never, onPacked });
  return { space, bundle, packed };
}

function linesOf({ lines }: RecordedConsole): string[] {
  return lines.filter((line) => line.includes("everything is sent"));
}

describe("a host's bundle", () => {
  it("leaves out what the host has live, under the same digest, and names the release that has it", async () => {
    const { bundle, uploads, agents, packed, journal } = await uploadsTo({ live: one });
    await uploads[0]?.send(bundle, sendOptions);
    expect(agents[0]?.archives).toEqual([["app/shop/wsgi.py"]]);
    expect(agents[0]?.manifests[0]?.files.map(({ path }) => path)).toEqual(all);
    expect(journal[0]).toBe(`a upload activate=false release_command=false base=${one.release}`);
    expect(packed).toMatchObject([{ base: one.release, files: 1 }]);
  });

  it("is packed once for each set of files that hosts have, and whole for one that has none", async () => {
    const { bundle, uploads, agents, packed, space } = await uploadsTo({ live: one }, { live: two }, {}, { live: one });
    await Promise.all(uploads.map((upload) => upload.send(bundle, sendOptions)));
    const thinOverTwo = all.filter((path) => path !== "app/shop/z.py");
    expect(agents.map(({ archives }) => archives)).toEqual([
      [["app/shop/wsgi.py"]],
      [thinOverTwo],
      [all],
      [["app/shop/wsgi.py"]],
    ]);
    expect(packed.map(({ files }) => files).toSorted()).toEqual([1, 2, 3]);
    expect(readdirSync(space.path).filter((name) => name.endsWith(".tar.zst"))).toHaveLength(3);
  });

  it("is whole if the host has nothing of it", async () => {
    const { bundle, uploads, packed, journal } = await uploadsTo({ live: live(two.release, { x: "y" }) }, {});
    await Promise.all(uploads.map((upload) => upload.send(bundle, sendOptions)));
    expect(packed).toMatchObject([{ base: undefined, files: 3 }]);
    expect(journal.filter((line) => line.includes("base="))).toEqual([]);
  });

  it("is whole, without a word, if nothing is live", async () => {
    const { bundle, uploads, agents, log } = await uploadsTo({});
    await uploads[0]?.send(bundle, sendOptions);
    expect(agents[0]?.archives).toEqual([all]);
    expect(linesOf(log)).toEqual([]);
  });

  it.each<[string, FakeAgentOptions, string]>([
    [
      "the key may not read",
      { refuseFiles: { status: 403, code: "forbidden", detail: "long" } },
      "web: everything is sent: the token is not allowed to `read` there.",
    ],
    [
      "the token is refused",
      { refuseFiles: { status: 401, code: "unauthorized", detail: "The agent refused the token." } },
      "web: everything is sent: The agent refused the token.",
    ],
    [
      "the agent is too old",
      { refuseFiles: { status: 404, code: "request_invalid", detail: "There is no call GET /v1/x." } },
      "web: everything is sent: There is no call GET /v1/x.",
    ],
    ["the agent is silent", { refuseFiles: "silence" }, "web: everything is sent: What answers at "],
    [
      "the answer is none",
      { live: { ...one, files: [{ path: 7 }] } as never },
      "web: everything is sent: The agent at ",
    ],
  ])("is whole if %s, which is logged once", async (_, options, line) => {
    const { bundle, uploads, agents, log } = await uploadsTo(options);
    await uploads[0]?.archive(bundle, never);
    await uploads[0]?.send(bundle, sendOptions);
    expect(agents[0]?.archives).toEqual([all]);
    expect(linesOf(log)).toEqual([expect.stringContaining(line)]);
  });

  it("is then packed and sent whole if the host can no longer use its release", async () => {
    const { bundle, uploads, agents, log, journal, packed } = await uploadsTo({ live: one, baseUnusable: true });
    await uploads[0]?.archive(bundle, never);
    expect(packed).toHaveLength(1);
    await uploads[0]?.send(bundle, sendOptions);
    expect(journal.slice(0, 2)).toEqual(["a thin bundle refused", "a upload activate=false release_command=false"]);
    expect(agents[0]?.archives).toEqual([all]);
    expect(packed).toMatchObject([{ files: 1 }, { files: 3, base: undefined }]);
    expect(linesOf(log)).toEqual([`web: everything is sent: The host has no ${one.release}.`]);
  });

  it("is not sent again if it is refused for another reason", async () => {
    const refuseUpload = { status: 409, code: "deployment_in_progress", detail: "held" } as const;
    const { bundle, uploads, packed } = await uploadsTo({ live: one, refuseUpload });
    expect((await refusal(() => uploads[0]?.send(bundle, sendOptions))).code).toBe("deployment_in_progress");
    expect(packed).toHaveLength(1);
  });

  it("is not packed when the job is cancelled while the host is asked", async () => {
    const { bundle, uploads, packed, log } = await uploadsTo({ refuseFiles: "silence" });
    const cancel = new AbortController();
    uploads[0]?.askForBase(cancel.signal);
    setTimeout(() => cancel.abort(new CutoverError("aborted", "The job was cancelled.")), 20);
    expect((await refusal(() => uploads[0]?.archive(bundle, cancel.signal))).code).toBe("aborted");
    expect(packed).toEqual([]);
    expect(linesOf(log)).toEqual([]);
  });
});

describe("a thin bundle", () => {
  it("has the same bytes for the same input, and fewer than the whole one", async () => {
    const [first, second] = [makeBundle(), makeBundle()];
    const [thin, again, whole] = [
      await first.bundle.archive({ ...one, delta: false }),
      await second.bundle.archive({ ...one, delta: false }),
      await first.bundle.archive(),
    ];
    expect(statSync(thin.path).size).toBe(statSync(again.path).size);
    expect(statSync(thin.path).size).toBeLessThan(statSync(whole.path).size);
    expect(thin.path).not.toBe(whole.path);
  });
});
