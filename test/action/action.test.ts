import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { generateKey } from "../../shared/key.ts";
import { parseManifest } from "../../shared/manifest.ts";
import { FakeAgent, type FakeAgentOptions } from "../fakes/agent.ts";
import { pythonVersion, wheelhouse } from "./wheelhouse.ts";
import { Workspace } from "./workspace.ts";

const config = `app: shop
server: { kind: gunicorn, app: "shop.wsgi:application" }
site: { server_name: [shop.example.com], listen: [8443] }
`;

function workspace(files: Record<string, string> = {}): Workspace {
  const project = { "p/cutover.yml": config, "p/shop/wsgi.py": "application = 1\n" };
  return new Workspace({ output: "", summary: "", "temp/x": "", ...project, ...files });
}

/** The Action as the runner starts it, from its source: a clean environment, inputs as variables, files for its results. */
function start(space: Workspace, inputs: Record<string, string>, more: NodeJS.ProcessEnv = {}): ChildProcess {
  const env: NodeJS.ProcessEnv = {
    PATH: "/usr/bin:/bin",
    GITHUB_WORKSPACE: space.at("p"),
    GITHUB_OUTPUT: space.at("output"),
    GITHUB_STEP_SUMMARY: space.at("summary"),
    GITHUB_REPOSITORY: "example/shop",
    GITHUB_REF: "refs/heads/main",
    GITHUB_SHA: "3f2c1ab".padEnd(40, "0"),
    RUNNER_TEMP: space.at("temp"),
    ...more,
  };
  for (const [name, value] of Object.entries(inputs)) env[`INPUT_${name.toUpperCase()}`] = value;
  return spawn(process.execPath, ["action/main.ts"], { env, stdio: ["ignore", "pipe", "inherit"] });
}

async function finish(child: ChildProcess, space: Workspace) {
  if (child.stdout === null) throw new Error("no output");
  const exit = once(child, "close");
  const log = await text(child.stdout);
  const [code] = (await exit) as [number];
  const outputs: Record<string, string> = {};
  const pattern = /^([\w-]+)<<(\S+)\n([\s\S]*?)\n\2$/gm;
  for (const [, name = "", , value = ""] of readFileSync(space.at("output"), "utf8").matchAll(pattern))
    outputs[name] = value;
  return { code, log, outputs, summary: readFileSync(space.at("summary"), "utf8") };
}

async function runWith(
  space: Workspace,
  options: FakeAgentOptions,
  inputs: Record<string, string> = {},
  env: NodeJS.ProcessEnv = {},
) {
  await using agent = await FakeAgent.start(options);
  const child = start(space, { hosts: agent.url.href, "signing-key": agent.privatePem, ...inputs }, env);
  const { subjects, archives } = agent;
  return { ...(await finish(child, space)), host: agent.url.host, subjects, archives };
}

function annotations(log: string): string[] {
  return log.split("\n").filter((line) => line.startsWith("::error"));
}

describe("the Action", () => {
  it("deploys, and leaves outputs and a summary", async () => {
    using space = workspace();
    const { code, outputs, summary, host, log, subjects } = await runWith(space, {
      output: ["::error::from the host"],
    });
    expect(code).toBe(0);
    expect(outputs).toMatchObject({ url: "http://shop.example.com:8443/", digest: expect.stringMatching(/^sha256:/) });
    expect(outputs.release).toMatch(/^\d{8}T\d{6}Z-3f2c1ab$/);
    expect(JSON.parse(outputs.result ?? "")[host]).toMatchObject({ outcome: "succeeded", release: outputs.release });
    expect(summary).toContain("<b>live</b>");
    expect(annotations(log)).toEqual([]);
    expect(log).toContain("pip | ::error::from the host");
    expect(subjects[0]).toBe("example/shop@refs/heads/main");
  });

  it("annotates a failed host once, with cause and fix, and keeps the evidence in the log", async () => {
    using space = workspace();
    const failure = {
      code: "health_failed",
      detail: "web-0 answered 500.",
      fix: "Read the traceback.",
      evidence: [{ source: "web-0", text: "Traceback (most recent call last)\n::error::x" }],
    };
    const { code, log, outputs, summary, host } = await runWith(space, {
      failAt: { kind: "deploy", state: "healthy", failure },
    });
    expect(code).toBe(1);
    expect(annotations(log).filter((line) => line !== "::error::x")).toEqual([
      `::error title=${host.replace(":", "%3A")}%3A health_failed::web-0 answered 500.%0ARead the traceback.`,
    ]);
    expect(log).toContain("Traceback (most recent call last)");
    expect(JSON.parse(outputs.result ?? "")[host]).toMatchObject({
      outcome: "failed",
      error: { code: "health_failed" },
    });
    expect(outputs.digest).toMatch(/^sha256:/);
    expect(summary).toContain("health_failed");
  });

  it("packs and checks in a dry run, and needs neither key nor hosts for it", async () => {
    using space = workspace();
    const { code, outputs } = await finish(start(space, { "dry-run": "true" }), space);
    expect(code).toBe(0);
    expect(readFileSync(outputs.bundle ?? "").length).toBeGreaterThan(100);
    expect(outputs.result).toBe("{}");
  });

  it("leaves out what the host has, unless `thin` is false, and names a bundle that any host takes", async () => {
    const text = "application = 1\n";
    const sha256 = createHash("sha256").update(text).digest("hex");
    const kept = { path: "app/shop/wsgi.py", mode: 0o644 as const, size: text.length, sha256 };
    const live = { release: "20261120T090000Z-1111111", digest: `sha256:${"a".repeat(64)}`, files: [kept] };
    const epoch = { SOURCE_DATE_EPOCH: "1795257000" };
    const release = "20261121T103000Z-3f2c1ab";

    using space = workspace({ "p/shop/a.py": "a = 1\n" });
    const thin = await runWith(space, { live }, {}, epoch);
    expect(thin.log).toContain(`Packed 2 of 3 files as ${release}, manifest ${thin.outputs.digest}; hosts with`);
    expect(thin.archives).toEqual([["app/cutover.yml", "app/shop/a.py"]]);
    expect(thin.outputs.bundle).toMatch(/\.thin-a{12}\.tar\.zst$/);

    space.write("output", "");
    const whole = await runWith(space, { live }, { thin: "false" }, epoch);
    expect(whole.log).toContain(`Packed 3 files as ${release}, manifest ${thin.outputs.digest}.`);
    expect(whole.archives).toEqual([["app/cutover.yml", "app/shop/a.py", "app/shop/wsgi.py"]]);
    expect(whole.outputs.bundle).not.toContain("thin");
    expect(whole.subjects).toHaveLength(thin.subjects.length - 1);

    space.write("output", "");
    const refused = await runWith(space, { live, baseUnusable: true }, {}, epoch);
    expect(refused.code).toBe(0);
    expect(refused.outputs.bundle).toBe(whole.outputs.bundle);
  });

  it("packs wheels, and collects static files with them, and tells the host what was decided", async () => {
    const version = pythonVersion();
    using space = wheelhouse(
      `cp${version.replace(".", "")}-none-linux_${process.arch === "arm64" ? "aarch64" : "x86_64"}`,
    );
    const collect = "import os, greeting; os.makedirs('static'); open('static/a.txt', 'w').write(greeting.TEXT)";
    const entry = JSON.stringify({ url: "/static/", from: "static", collect: ["python", "-c", collect] });
    space.write("p/cutover.yml", `${config}static: [${entry}]\n`);
    space.write("p/shop/wsgi.py", "application = 1\n");
    for (const file of ["output", "summary", "temp/x"]) space.write(file, "");
    const inputs = { "dry-run": "true", "pip-arguments": "--no-index --find-links ../house" };
    const { code, outputs, log } = await finish(start(space, inputs), space);
    expect(log).toContain("collect static files (");
    expect(code).toBe(0);
    const read = (name: string) =>
      execFileSync("tar", ["--zstd", "-xOf", outputs.bundle ?? "", name], { encoding: "utf8" });
    expect(read("static/static/a.txt")).toBe("hello");
    const manifest = parseManifest(Buffer.from(read("manifest.json")));
    expect(manifest.config.python).toMatchObject({ wheels: "vendor", version });
    expect(manifest.files.filter(({ path }) => path.startsWith("wheels/"))).toHaveLength(1);
  });

  it("makes the same bundle twice if SOURCE_DATE_EPOCH sets the time", async () => {
    using space = workspace();
    const epoch = { SOURCE_DATE_EPOCH: "1795257000" };
    const first = await finish(start(space, { "dry-run": "true" }, epoch), space);
    const bytes = readFileSync(first.outputs.bundle ?? "");
    space.write("output", "");
    const second = await finish(start(space, { "dry-run": "true" }, epoch), space);
    expect(first.outputs.release).toBe("20261121T103000Z-3f2c1ab");
    expect(second.outputs.digest).toBe(first.outputs.digest);
    expect(readFileSync(second.outputs.bundle ?? "").equals(bytes)).toBe(true);
  });

  it.each([
    ["config_not_found", { config: "missing.yml" }, {}, "There is no missing.yml"],
    ["config_not_found", { "working-directory": "nowhere" }, {}, "There is no folder /"],
    ["config_not_found", { "working-directory": "cutover.yml" }, {}, "There is no folder /"],
    ["config_not_found", { config: "deploy.yml" }, { "p/deploy.yaml": "app: shop\n" }, "deploy.yaml is there"],
    ["config_not_found", { config: "own.yml" }, { "p/backend/own.yml": "app: shop\n" }, "working-directory: backend"],
    ["signing_key_invalid", { "signing-key": `ed25519:${"a".repeat(43)}` }, {}, "it is the public half"],
    ["signing_key_invalid", { "signing-key": "-----BEGIN PRIVATE KEY-----\\nMC4=" }, {}, "line breaks are written as"],
    ["signing_key_invalid", { "signing-key": "-----BEGIN RSA PRIVATE KEY-----\nMIIE" }, {}, "(RSA PRIVATE KEY)"],
    ["config_not_yaml", {}, { "p/cutover.yml": "app: [" }, "cutover.yml:1:"],
    ["config_invalid", {}, { "p/cutover.yml": "app: Shop\nservr: {}\n" }, "cutover.yml:2:1: servr: unknown key"],
    ["server_app_not_found", {}, { "p/cutover.yml": config.replace("wsgi:", "wsg:") }, "shop/wsg.py"],
    ["signing_key_invalid", { "signing-key": "x" }, {}, "not an Ed25519 private key"],
    ["id_token_unavailable", { "signing-key": "" }, {}, "id-token: write"],
    ["input_invalid", { command: "push" }, {}, "Input command"],
  ])("fails with %s before anything is sent", async (code, inputs, files, part) => {
    using space = workspace(files);
    const result = await runWith(space, {}, inputs);
    expect(result.code).toBe(1);
    expect(annotations(result.log)).toHaveLength(1);
    expect(annotations(result.log)[0]).toContain(part);
    expect(result.summary).toContain(`<b>${code}</b>`);
    expect(result.subjects).toEqual([]);
  });

  it("aborts what has not cut over when it is interrupted, and reports that", async () => {
    using space = workspace();
    const journal: string[] = [];
    const options: FakeAgentOptions = { journal, holdAt: { kind: "deploy", state: "healthy" } };
    await using agent = await FakeAgent.start(options);
    const child = start(space, { hosts: agent.url.href, "signing-key": agent.privatePem });
    const finished = finish(child, space);
    while (!journal.includes("deploy started")) await new Promise((resolve) => setTimeout(resolve, 10));
    child.kill("SIGINT");
    const { code, outputs, log } = await finished;
    expect(code).toBe(1);
    expect(journal.at(-1)).toBe("abort deploy");
    expect(JSON.parse(outputs.result ?? "")[agent.url.host].outcome).toBe("aborted");
    expect(annotations(log)).toHaveLength(1);
  });

  it("A2: ends at its limit while a proxy is silent", async () => {
    using space = workspace();
    const proxy = createServer();
    proxy.listen(0, "127.0.0.1");
    await once(proxy, "listening");
    const env = { https_proxy: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` };
    const { privatePem } = await generateKey();
    const inputs = { hosts: "https://web1.example.com:7070", "signing-key": privatePem, timeout: "1s" };
    const begun = performance.now();
    const { code, summary, outputs } = await finish(start(space, inputs, env), space);
    expect(performance.now() - begun).toBeLessThan(12_000);
    expect({ code, result: JSON.parse(outputs.result ?? "") }).toMatchObject({
      code: 1,
      result: { "web1.example.com:7070": {} },
    });
    expect(summary).toContain("<b>timed_out</b>");
    proxy.close();
  });

  it("A10: refuses a canary-check that is not there before it sends anything", async () => {
    using space = workspace();
    const canary = { canary: "5@1s, 100", "canary-check": "./nosuch.sh" };
    const { code, subjects, summary, log } = await runWith(space, {}, canary);
    expect({ code, subjects }).toEqual({ code: 1, subjects: [] });
    expect(summary).toContain("<b>input_invalid</b>");
    expect(log).toContain("canary-check: there is no program ./nosuch.sh");
  });

  it("ends with timed_out at its limit", async () => {
    using space = workspace();
    const held: FakeAgentOptions = { holdAt: { kind: "deploy", state: "healthy" } };
    const { code, log, summary } = await runWith(space, held, { timeout: "1500ms" });
    expect(code).toBe(1);
    expect(log).toContain("The limit of 1.5 s was reached.");
    expect(summary).toContain("<b>timed_out</b>");
  });
});
