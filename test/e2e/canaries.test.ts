import { appendFileSync, lstatSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { embeddedLayout } from "../../agent/host/embedded/files.ts";
import type { ActionResult } from "../harness/action.ts";
import { freePorts } from "../harness/ports.ts";
import { BadHost } from "./bad-host.ts";

/** Each stands in one place alone, so that what it is found in tells where it came from. */
const canaries = {
  environment: "canary-env-q7Xk2",
  "environment with quotes": 'canary-"env"-\\w9Zt4',
  "environment of many lines": "-----canary-pem-b3Jd8-----\ncanary-line-f6Lm1\n-----end-----",
  "index URL": "canary-index-n5Hs9",
  "variable in an index URL": "canary-variable-v4Gc7",
  "webhook's address": "canary-webhook-r8Pd3",
  "webhook's secret": "canary-hmac-y2Bf6",
};

/** As they are, as JSON and Python write them, and each line of those that have several. */
const forms = Object.entries(canaries).flatMap(([name, value]) =>
  [value, ...value.split("\n")]
    .filter((line) => line.includes("canary"))
    .flatMap((line) => [line, JSON.stringify(line).slice(1, -1), line.replaceAll("\\", "\\\\")])
    .map((form) => [name, form] as const),
);

let host: BadHost;
let keyLine: string;
const sent: string[] = [];
const commandLines = new Set<string>();
const results: ActionResult[] = [];
let sampling = true;
let sampler: Promise<void>;

const receiver = createServer(async (request, response) => {
  if (request.url?.startsWith("/simple") === true) {
    // An index without a single package.
    response.writeHead(404).end();
    return;
  }
  sent.push(JSON.stringify(request.headers), (await request.toArray()).join(""));
  response.writeHead(204).end();
});

beforeAll(async () => {
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  const [metrics = 0] = await freePorts(1);
  host = await BadHost.start({ name: "canaries", settings: { metrics: `127.0.0.1:${metrics}`, log_level: "debug" } });
  keyLine = host.key.privatePem.split("\n")[1] ?? "";
  const secret_file = join(host.agent.scratch.path, "hmac");
  writeFileSync(secret_file, `${canaries["webhook's secret"]}\n`, { mode: 0o600 });
  const url = `http://127.0.0.1:${port()}/${canaries["webhook's address"]}`;
  await host.agent.changeAppSettings("shop", { webhooks: [{ url, secret_file }] });
  await host.agent.writeSecrets("shop", {
    DB_PASSWORD: canaries.environment,
    QUOTED: canaries["environment with quotes"],
    PEM: canaries["environment of many lines"],
  });
  sampler = sampleCommandLines();
});
afterAll(async () => {
  sampling = false;
  await sampler;
  await host?.[Symbol.asyncDispose]();
  receiver.closeAllConnections();
  receiver.close();
});

const port = () => (receiver.address() as AddressInfo).port;

/** All that any user of the host could see with `ps`, while it can be seen. */
async function sampleCommandLines(): Promise<void> {
  while (sampling) {
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      try {
        commandLines.add(readFileSync(`/proc/${pid}/cmdline`, "latin1"));
      } catch {
        // It has ended.
      }
    }
    await sleep(25);
  }
}

async function deploy(
  options: Parameters<BadHost["project"]>[0],
  change: (directory: string) => void = () => undefined,
  inputs = {},
) {
  const directory = await host.project(options);
  change(directory);
  const env = { INDEX_TOKEN: canaries["variable in an index URL"] };
  const result = await host.run(directory, { env, inputs });
  results.push(result);
  return result;
}

/** The summary writes some characters as numbers. */
const plain = (summary: string) =>
  summary
    .replace(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)))
    .replaceAll("&quot;", '"')
    .replaceAll("&amp;", "&");

function found(text: string): string[] {
  const names = forms.filter(([, form]) => text.includes(form)).map(([name]) => name);
  if (text.includes(keyLine)) names.push("signing key");
  if (/eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}/.test(text)) names.push("token");
  return [...new Set(names)];
}

const printing = "import os, sys\nprint(os.environ, dict(os.environ), file=sys.stderr, flush=True)\n";

/** Requirements with the index's address, and both kinds of password in it. */
function withIndex(directory: string): void {
  const urls = [
    `--index-url http://deploy:${canaries["index URL"]}@127.0.0.1:${port()}/simple`,
    `--extra-index-url http://ci:\${INDEX_TOKEN}@127.0.0.1:${port()}/simple`,
  ];
  writeFileSync(join(directory, "requirements.txt"), `${urls.join("\n")}\nno-such-package-anywhere\n`);
}

describe("secrets stay where they are", () => {
  it("in a deploy that works and prints its environment", async () => {
    const { exitCode, stdout } = await deploy({ version: "v2" }, (directory) =>
      appendFileSync(join(directory, "shop/wsgi.py"), printing),
    );
    expect(exitCode, stdout).toBe(0);
  });

  it("in one that fails in pip on the runner", async () => {
    const { stdout } = await deploy({ version: "v3", config: { python: { wheels: "vendor" } } }, withIndex);
    expect(stdout).toContain("wheels_failed");
    expect(stdout).toContain("no-such-package-anywhere");
  });

  it("in one that fails in pip on the host", async () => {
    const { stdout } = await deploy({ version: "v3", config: { python: { wheels: "index" } } }, withIndex);
    expect(stdout).toContain("environment_failed");
    expect(stdout).toContain("no-such-package-anywhere");
  });

  it("in one whose release command fails and prints its environment", async () => {
    const release = { command: ["sh", "-c", "env; python -c 'import os; print(os.environ)'; exit 3"] };
    const { stdout } = await deploy({ version: "v3", config: { release } });
    expect(stdout).toContain("release_command_failed");
    expect(stdout).toContain("DB_PASSWORD=***");
  });

  it("in one whose health check fails, answers with its environment and prints it", async () => {
    const health = { path: "/", host: "shop.example.com", timeout: "6s" };
    const { stdout, summary } = await deploy({ version: "v3", config: { health } }, (directory) => {
      const views = join(directory, "shop/views.py");
      const text = readFileSync(views, "utf8");
      const body = "    return HttpResponse(str(dict(os.environ)), status=500)\n";
      writeFileSync(views, `${printing}${text.replace("def index(request):\n", `def index(request):\n${body}`)}`);
    });
    expect(stdout).toContain("health_failed");
    for (const text of [stdout, plain(summary)]) expect(text).toMatch(/DB_PASSWORD.{1,20}\*\*\*/);
  });

  it("and are in nothing that was printed, answered, sent or told", async () => {
    const { agent } = host;
    const socket = (path: string) => agent.cutover(...path.split(" "));
    const told = await Promise.all(
      [
        "status shop --json",
        "status",
        "releases shop --json",
        "history shop --json",
        "doctor --json",
        "env list shop",
      ].map(socket),
    );
    const metrics = await fetch(
      `http://${/metrics: (\S+)/.exec(readFileSync(embeddedLayout(agent.directory).agentSettings, "utf8"))?.[1]}/metrics`,
    );
    const ids = [...agent.log.matchAll(/"deployment":"([\w-]{22})"/g)].map(([, id = ""]) => id);
    const views = [...new Set(ids)].flatMap((id) => [`/v1/deployments/${id}`, `/v1/deployments/${id}/events`]);
    const answers = await Promise.all(views.map(async (path) => (await fetch(`${agent.url}${path}`)).text()));
    expect(answers.length).toBeGreaterThan(8);
    while (sent.length < 4) await sleep(20);
    const places: Record<string, string> = {
      // What is to be masked is told to the runner, which shows it to nobody.
      "the Action's log": results.map(({ stdout }) => stdout.replaceAll(/^::add-mask::.*$/gm, "")).join(),
      "its outputs and annotations": JSON.stringify(results.map(({ outputs, annotations }) => [outputs, annotations])),
      "its summary": results.map(({ summary }) => plain(summary)).join(),
      "the agent's log": agent.log,
      "what the commands print": told.map(({ stdout, stderr }) => `${stdout}${stderr}`).join(),
      metrics: await metrics.text(),
      "answers of the agent": answers.join(),
      webhooks: sent.join(),
      "command lines": [...commandLines].join("\n"),
    };
    expect(commandLines.size).toBeGreaterThan(20);
    expect(found(results.flatMap(({ masked }) => masked).join("\n"))).toEqual(["signing key", "token"]);
    const leaks = Object.entries(places).map(([place, text]) => [place, found(text)] as const);
    expect(leaks.filter(([, names]) => names.length > 0)).toEqual([]);
  });

  it("and are in no file but those that need them, which others cannot read", () => {
    const { data, log } = embeddedLayout(host.agent.directory);
    const holding = [data, log].flatMap(filesBelow).filter((file) => found(readFileSync(file, "latin1")).length > 0);
    const kinds = new Set(holding.map((file) => kindOf(relative(data, file))));
    // Environment of the instances, and what the app itself printed.
    expect([...kinds].toSorted()).toEqual(["instance's log", "launch file"]);
    expect(holding.filter((file) => othersMayRead(file, data))).toEqual([]);
  });

  it("and what others may read of the processes does not have them", () => {
    for (const { pid } of host.agent.scratch.processes()) {
      const path = `/proc/${pid}/environ`;
      expect(lstatSync(path).mode & 0o077).toBe(0);
    }
    const agentsOwn = readFileSync(`/proc/${host.agent.pid}/environ`, "latin1");
    expect(found(agentsOwn)).toEqual([]);
  });
});

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Its own mode lets them, and each directory's on the way to it. */
function othersMayRead(file: string, root: string): boolean {
  if ((lstatSync(file).mode & 0o004) === 0) return false;
  for (let at = dirname(file); at.startsWith(root); at = dirname(at)) {
    if ((lstatSync(at).mode & 0o001) === 0) return false;
  }
  return true;
}

function kindOf(path: string): string {
  if (/^apps\/shop\/launch\/[^/]+\/[^/]+\.json$/.test(path)) return "launch file";
  if (/^apps\/shop\/logs\/.*\.log$/.test(path)) return "instance's log";
  return path;
}
