import { readFile, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { zstdDecompressSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { appLayout } from "../../agent/host/store/layout.ts";
import { formatAudience } from "../../shared/audience.ts";
import { pathOf } from "../../shared/call.ts";
import { importPrivateKey, signToken } from "../../shared/key.ts";
import { manifestLimits, parseManifest } from "../../shared/manifest.ts";
import { accepted, calls, deploymentView, type Problem, problem } from "../../shared/protocol.ts";
import { type Bundle, type BundleInput, compress, makeBundle } from "../fixtures/bundle.ts";
import { archives } from "../hostile/archives/index.ts";
import { BadHost } from "./bad-host.ts";

let host: BadHost;
beforeAll(async () => {
  // The format itself is what refuses the largest ones.
  host = await BadHost.start({ name: "bad", settings: { limits: { manifest: manifestLimits.bytes } } });
});
afterAll(() => host?.[Symbol.asyncDispose]());

const files = {
  "app/shop.py": "application = None\n",
  "app/shop/prices.csv": "tea,3\n".repeat(400),
  "app/zz.txt": "the last one\n",
};
const python = { wheels: "none", system_site_packages: true };

function bundleOf(input: BundleInput = {}): Bundle {
  return makeBundle({ files, config: { python }, ...input });
}

/** A token for just this bundle, as the Action would get it. */
async function tokenFor(digest: string): Promise<string> {
  const key = await importPrivateKey(host.key.privatePem);
  const audience = formatAudience({ host: host.name, app: "shop", operation: { name: "deploy", digest } });
  return signToken(key, audience, { sub: "test" });
}

async function upload(body: Buffer, digest: string, query = ""): Promise<Response> {
  return fetch(`${host.agent.url}${pathOf(calls.deploy, { app: "shop" })}${query}`, {
    method: "POST",
    headers: { authorization: `Bearer ${await tokenFor(digest)}`, "content-type": "application/zstd" },
    body: new Uint8Array(body),
  });
}

async function refused(body: Buffer, digest: string, query = ""): Promise<Problem> {
  const answer = await upload(body, digest, query);
  expect(answer.headers.get("content-type")).toContain("application/problem+json");
  const told = problem.parse(await answer.json());
  expect(told.status).toBe(answer.status);
  expect(told.unchanged).toMatch(/^Nothing/);
  expect(told.fix).toBeDefined();
  return told;
}

async function expectRefused(body: Buffer, digest: string, wanted: { code: string; detail: RegExp }): Promise<void> {
  const { code, detail } = await host.unchangedBy(() => refused(body, digest));
  expect(code).toBe(wanted.code);
  expect(detail).toMatch(wanted.detail);
}

function decompressesTo(bytes: Buffer, tar: Buffer): boolean {
  try {
    return zstdDecompressSync(bytes).equals(tar);
  } catch {
    return false;
  }
}

describe("a bundle is refused whole, and nothing of it is kept,", () => {
  it("when it is truncated: cut off in its compressed stream", async () => {
    const { bytes, digest } = bundleOf();
    const half = bytes.subarray(0, bytes.length / 2);
    await expectRefused(half, digest, { code: "bundle_truncated", detail: /ended early/ });
  });

  it("when it is truncated: its last file is missing", async () => {
    const { bytes, digest } = bundleOf({ changeEntries: (entries) => entries.slice(0, -1), end: Buffer.alloc(0) });
    await expectRefused(bytes, digest, { code: "bundle_truncated", detail: /app\/zz\.txt is missing or cut off/ });
  });

  it("when it is truncated: the connection breaks before its end", async () => {
    const { bytes, digest } = bundleOf();
    const authorization = `Bearer ${await tokenFor(digest)}`;
    const said = host.agent.log.length;
    await host.unchangedBy(async () => {
      const call = request(`${host.agent.url}${pathOf(calls.deploy, { app: "shop" })}`, {
        method: "POST",
        headers: { authorization, "content-length": bytes.length },
      });
      call.on("error", () => undefined);
      call.write(bytes.subarray(0, -10));
      while (!host.agent.log.slice(said).includes('"msg":"deployment begins"')) await sleep(20);
      call.destroy();
      while (!host.agent.log.slice(said).includes('"msg":"deployment ended"')) await sleep(20);
    });
    expect(host.agent.log.slice(said)).toMatch(/"code":"(?:bundle_truncated|aborted)","msg":"deployment ended"/);
  });

  it("when one byte of a file is altered", async () => {
    const { tar, digest } = bundleOf();
    tar[tar.indexOf("tea,3")] = 0x54;
    await expectRefused(compress(tar), digest, {
      code: "bundle_altered",
      detail: /app\/shop\/prices\.csv differs from the manifest/,
    });
  });

  it("when one byte of its manifest is altered", async () => {
    const { tar, digest } = bundleOf();
    tar[tar.indexOf("example/shop")] = 0x45;
    await expectRefused(compress(tar), digest, { code: "manifest_mismatch", detail: /not the one that the token/ });
  });

  it("when any one byte of its compressed stream is altered", async () => {
    const { bytes, tar, digest } = bundleOf();
    const codes = await host.unchangedBy(async () => {
      const found = new Set<string>();
      for (let at = 0; at < bytes.length; at += 37) {
        const altered = Buffer.from(bytes);
        altered[at] = (altered[at] ?? 0) ^ 0x10;
        // zstd has a few spare bits: what decompresses to the same archive is the same bundle.
        if (!decompressesTo(altered, tar)) found.add((await refused(altered, digest)).code);
      }
      return [...found];
    });
    expect(codes).toContain("bundle_altered");
    expect(codes.filter((code) => !/^(?:bundle|manifest)_/.test(code))).toEqual([]);
  });

  it("when it goes on after its last file", async () => {
    const { bytes, digest } = bundleOf({ end: Buffer.concat([Buffer.alloc(1024), Buffer.from("and more")]) });
    await expectRefused(bytes, digest, { code: "bundle_too_long", detail: /goes on after its last file/ });
  });

  it("when it goes on after its compressed stream", async () => {
    const { bytes, digest } = bundleOf();
    const longer = Buffer.concat([bytes, Buffer.from("and more")]);
    await expectRefused(longer, digest, { code: "bundle_too_long", detail: /after the end of its compressed stream/ });
  });

  it("when a file is longer than the manifest says", async () => {
    const { bytes, digest } = bundleOf({
      changeEntries: (entries) =>
        entries.map((entry) =>
          entry.path === "app/zz.txt" ? { ...entry, content: Buffer.from("the last one, and more\n") } : entry,
        ),
    });
    await expectRefused(bytes, digest, {
      code: "bundle_unexpected_entry",
      detail: /app\/zz\.txt with 23 bytes instead of 13/,
    });
  });

  it.each([
    ["before its files", 1],
    ["between its files", 2],
    ["after its files", 4],
  ])("when it holds a file that the manifest lacks, %s", async (_, place) => {
    const stranger = { path: "app/backdoor.py", content: Buffer.from("import os\n") };
    const { bytes, digest } = bundleOf({ changeEntries: (entries) => entries.toSpliced(place, 0, stranger) });
    await expectRefused(bytes, digest, { code: "bundle_unexpected_entry", detail: /"app\/backdoor\.py"/ });
  });
});

describe("a thin bundle is refused whole, and nothing of it is kept,", () => {
  const liveManifest = async () => {
    const { live } = await host.agent.appView();
    const { release } = appLayout(join(host.agent.directory, "data"), "shop");
    return parseManifest(await readFile(join(release(live ?? ""), "manifest.json")));
  };

  it("when the host has no such release", async () => {
    const { bytes, digest } = bundleOf();
    const told = await host.unchangedBy(() => refused(bytes, digest, "?base=20260101T000000Z-0000000"));
    expect(told).toMatchObject({ code: "base_unusable", status: 409, detail: expect.stringContaining("not on this") });
  });

  it("when a file of its base is no longer what it was", async () => {
    const base = await liveManifest();
    const file = base.files.find(({ path }) => path === "app/manage.py");
    if (file === undefined) throw new Error("the shop has no manage.py");
    const directory = join(appLayout(join(host.agent.directory, "data"), "shop").release(base.release), "app");
    const content = await readFile(join(directory, "manage.py"));
    const { bytes, digest } = bundleOf({ files: { ...files, "app/manage.py": { content, mode: file.mode } }, base });
    await writeFile(join(directory, "manage.py"), "# changed on the host\n");
    try {
      // The first one takes the changed file out of the store.
      await refused(bytes, digest, `?base=${base.release}`);
      const told = await host.unchangedBy(() => refused(bytes, digest, `?base=${base.release}`));
      expect(told).toMatchObject({ code: "base_unusable", detail: expect.stringContaining("app/manage.py") });
    } finally {
      await writeFile(join(directory, "manage.py"), content);
    }
  });

  it("when it leaves out what its base does not have", async () => {
    const { release } = await liveManifest();
    const { bytes, digest } = bundleOf({ changeEntries: (entries) => entries.toSpliced(1, 1) });
    const told = await host.unchangedBy(() => refused(bytes, digest, `?base=${release}`));
    expect(told.code).toBe("bundle_unexpected_entry");
  });
});

describe("every third of the archives of test/hostile", () => {
  it("is refused by a running agent for the same reason, and the host is as before", async () => {
    const third = Object.values(archives)
      .flat()
      .filter((_, index) => index % 3 === 0);
    await host.unchangedBy(async () => {
      for (const { name, code, reason, make } of third) {
        const { body, digest } = make();
        const told = await refused(body, digest);
        expect({ name, code: told.code, detail: told.detail }).toEqual({
          name,
          code,
          detail: expect.stringMatching(reason),
        });
      }
    });
    const health = await fetch(`${host.agent.url}${calls.health.path}`);
    expect(health.status).toBe(200);
  });
});

describe("the same bundle undamaged", () => {
  it("is taken, and undone because it cannot start", async () => {
    const { bytes, digest } = bundleOf();
    const view = await host.unchangedBy(async () => {
      const answer = await upload(bytes, digest);
      expect(answer.status).toBe(202);
      const { deployment } = accepted.parse(await answer.json());
      const settled = await fetch(`${host.agent.url}${pathOf(calls.deployment, { id: deployment }, { wait: 30 })}`);
      return deploymentView.parse(await settled.json());
    });
    expect(view).toMatchObject({ outcome: "failed", failure: { code: "instance_died" } });
  });
});
