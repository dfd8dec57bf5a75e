import { execFileSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { createLogger } from "../../../agent/logger.ts";
import { type WebhookLimits, Webhooks } from "../../../agent/observe/webhooks.ts";
import { type AppSettings, agentSettingsSchema, appSettingsSchema } from "../../../agent/settings.ts";
import type { DeploymentView } from "../../../shared/protocol.ts";
import { scratch } from "../host/scratch.ts";

interface Got {
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

/** A real receiver that gives these answers one after the other, the last one for ever; undefined: none at all. */
async function receiver(...statuses: (number | undefined)[]): Promise<{ url: string; got: Got[] }> {
  const got: Got[] = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    got.push({ path: request.url ?? "", headers: request.headers, body });
    const status = statuses.length > 1 ? statuses.shift() : statuses[0];
    if (status !== undefined) response.writeHead(status).end("thanks");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks/T0P5ECRET`, got };
}

interface Setting {
  agent?: object[];
  app?: object[];
  limits?: Partial<WebhookLimits>;
}

function sender({ agent = [], app = [], limits }: Setting) {
  const lines: string[] = [];
  const results: string[] = [];
  const { webhooks } = agentSettingsSchema.parse({ webhooks: agent });
  const settings: AppSettings = { ...appSettingsSchema.parse({ webhooks: app }), app: "shop", file: "shop.yml" };
  const sender = new Webhooks({
    webhooks,
    apps: { settings: async () => settings },
    host: "web1:7070",
    log: createLogger("debug", { write: (line: string) => void lines.push(line) }),
    onResult: (result) => results.push(result),
    limits: { attemptMs: 2000, retries: 3, pauseMs: 1, ...limits },
  });
  onTestFinished(() => sender.close());
  return { sender, results, log: () => lines.join("") };
}

test("a pipe in the place of a file of its own is not waited for", async () => {
  const { url, got } = await receiver(200);
  const pipe = join(scratch(), "pipe");
  execFileSync("mkfifo", [pipe]);
  const { sender: webhooks, results } = sender({ agent: [{ url, secret_file: pipe }, { url_file: pipe }] });
  await end(webhooks);
  expect([results, got]).toEqual([["failed", "failed"], []]);
});

function view(parts: Partial<DeploymentView> = {}): DeploymentView {
  const started = "2026-11-21T10:30:00.000Z";
  const named = {
    id: "AAAAAAAAAAAAAAAAAAAAAA",
    app: "shop",
    kind: "deploy",
    state: "done",
    by: { subject: "ci" },
  } as const;
  return { ...named, outcome: "succeeded", started, finished: started, phases: [], ...parts };
}

function end(sender: Webhooks, parts: Partial<DeploymentView> = {}): Promise<void> {
  sender.event("shop", { type: "end", id: 1, at: "2026-11-21T10:30:00.000Z", deployment: view(parts) });
  return sender.settled();
}

test("a webhook is sent as JSON, signed with the secret of the host's file", async () => {
  const { url, got } = await receiver(204);
  const secret_file = join(scratch(), "secret");
  writeFileSync(secret_file, "s3cret\n");
  const { sender: webhooks, results } = sender({ agent: [{ url, secret_file }] });
  await end(webhooks);
  const [{ headers, body, path } = { headers: {}, body: "", path: "" }] = got;
  expect(path).toBe("/hooks/T0P5ECRET");
  expect(JSON.parse(body)).toMatchObject({ event: "succeeded", app: "shop", host: "web1:7070" });
  expect(headers).toMatchObject({ "content-type": "application/json", "cutover-event": "succeeded" });
  const timestamp = String(headers["cutover-timestamp"]);
  expect(Math.abs(Date.now() / 1000 - Number(timestamp))).toBeLessThan(300);
  const mac = createHmac("sha256", "s3cret").update(`${timestamp}.${body}`).digest("hex");
  expect(headers["cutover-signature"]).toBe(`v1=${mac}`);
  expect(results).toEqual(["delivered"]);
});

test("those of agent.yml and of the app's file are sent, each for the events that it names", async () => {
  const every = await receiver(200);
  const failures = await receiver(200);
  const url_file = join(scratch(), "url");
  writeFileSync(url_file, `${failures.url}\n`);
  const { sender: webhooks } = sender({
    agent: [{ url: every.url }],
    app: [{ url_file, kind: "slack", events: ["failed", "aborted"] }],
  });
  await end(webhooks);
  expect(failures.got).toHaveLength(0);
  await end(webhooks, { outcome: "failed", failure: { code: "health_failed", detail: "It answered 500." } });
  expect(every.got.map(({ headers }) => headers["cutover-event"])).toEqual(["succeeded", "failed"]);
  expect(failures.got.map(({ body }) => JSON.parse(body).text)).toEqual([expect.stringContaining("It answered 500.")]);
});

test("a certificate that did not come is told to those who want to know, unless their file says otherwise", async () => {
  const json = await receiver(200);
  const chat = await receiver(200);
  const other = await receiver(200);
  const { sender: webhooks } = sender({
    agent: [{ url: json.url }, { url: other.url, events: ["failed"] }],
    app: [{ url: chat.url, kind: "slack", events: ["certificate_failed"] }],
  });
  const reason = "could not prove <shop.example.com>";
  webhooks.certificateFailed({ app: "shop", names: ["shop.example.com"], reason, failures: 2, expires: undefined });
  await webhooks.settled();
  expect(json.got.map(({ headers, body }) => [headers["cutover-event"], JSON.parse(body)])).toEqual([
    [
      "certificate_failed",
      {
        ...{ event: "certificate_failed", host: "web1:7070", app: "shop", names: ["shop.example.com"], failures: 2 },
        failure: { code: "certificate_failed", detail: reason },
      },
    ],
  ]);
  expect(chat.got.map(({ body }) => JSON.parse(body).text)).toEqual([
    ":warning: No certificate for *shop* (shop.example.com) on web1:7070. The site has none yet.\ncould not prove &lt;shop.example.com&gt;",
  ]);
  expect(other.got).toEqual([]);
});

test("a receiver that fails is asked again, with the same delivery's id", async () => {
  const { url, got } = await receiver(503, 429, 200);
  const { sender: webhooks, results } = sender({ agent: [{ url }] });
  await end(webhooks);
  expect(got).toHaveLength(3);
  expect(new Set(got.map(({ headers }) => headers["cutover-delivery"])).size).toBe(1);
  expect(results).toEqual(["delivered"]);
});

test("retries are bounded, and an answer that says no ends them", async () => {
  const broken = await receiver(500);
  const gone = await receiver(410);
  const { sender: webhooks, results } = sender({ agent: [{ url: broken.url }, { url: gone.url }] });
  await end(webhooks);
  expect(broken.got).toHaveLength(4);
  expect(gone.got).toHaveLength(1);
  expect(results).toEqual(["failed", "failed"]);
});

test("no webhook holds up a deployment, and one without an answer is given up", async () => {
  const { url, got } = await receiver(undefined);
  const { sender: webhooks, results } = sender({ agent: [{ url }], limits: { attemptMs: 50, retries: 1 } });
  const settled = end(webhooks);
  // The event's listener has returned before anything was sent.
  expect(results).toEqual([]);
  await settled;
  expect(got).toHaveLength(2);
  expect(results).toEqual(["failed"]);
});

test("a stopping agent gives up what is under way", async () => {
  const { url } = await receiver(undefined);
  const { sender: webhooks, results } = sender({ agent: [{ url }], limits: { attemptMs: 60_000 } });
  const settled = end(webhooks);
  await webhooks.close(20);
  await settled;
  expect(results).toEqual(["failed"]);
  await end(webhooks);
  expect(results).toEqual(["failed"]);
});

test("no log line shows a webhook's address, nor its secret", async () => {
  const { url } = await receiver(500);
  const directory = scratch();
  const secret_file = join(directory, "secret");
  writeFileSync(secret_file, "s3cret\n");
  const badUrl = join(directory, "url");
  writeFileSync(badUrl, "ftp://T0P5ECRET\n");
  const {
    sender: webhooks,
    results,
    log,
  } = sender({
    agent: [
      { url, secret_file },
      { url: "http://127.0.0.1:1/T0P5ECRET" },
      { url: "https://T0P5ECRET.invalid/T0P5ECRET" },
      { url_file: badUrl },
      { url, secret_file: join(directory, "T0P5ECRET") },
    ],
  });
  await end(webhooks);
  expect(results).toEqual(Array(5).fill("failed"));
  const lines = log()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines.map(({ webhook }) => webhook).sort()).toEqual(
    [0, 1, 2, 3, 4].map((index) => `agent.yml webhooks[${index}]`),
  );
  for (const line of lines) expect(line).toMatchObject({ app: "shop", deployment: "AAAAAAAAAAAAAAAAAAAAAA" });
  const reasons = Object.fromEntries(lines.map(({ webhook, reason }) => [webhook.at(-2), reason]));
  expect(reasons).toMatchObject({
    0: "it answered 500",
    1: "ECONNREFUSED",
    3: "its address is not https",
    4: "its secret_file cannot be read: ENOENT",
  });
  expect(log()).not.toMatch(/T0P5ECRET|s3cret/i);
});

test.each([
  ["plain http to another host", { url: "http://hooks.example.com/T0P5ECRET" }, false],
  ["plain http to another host, said so", { url: "http://hooks.example.com/x", insecure: true }, true],
  ["plain http to this host", { url: "http://127.0.0.1:8000/x" }, true],
  ["https", { url: "https://hooks.example.com/x" }, true],
  ["another scheme", { url: "file:///etc/T0P5ECRET" }, false],
  ["no address", { kind: "slack" }, false],
  ["two addresses", { url: "https://a.example/T0P5ECRET", url_file: "/x" }, false],
  ["an event that there is not", { url: "https://a.example/x", events: ["exploded"] }, false],
  ["a relative file", { url_file: "slack-url" }, false],
])("a webhook with %s", (_what, webhook, good) => {
  const result = agentSettingsSchema.safeParse({ webhooks: [webhook] });
  expect(result.success).toBe(good);
  expect(JSON.stringify(result.error ?? "")).not.toContain("T0P5ECRET");
});
