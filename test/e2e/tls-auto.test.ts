import { spawnSync } from "node:child_process";
import { appendFileSync, readdirSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "node:tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { CertificateView } from "../../shared/protocol.ts";
import { ask } from "../agent/host/nginx/site-host.ts";
import { Pebble } from "../harness/pebble.ts";
import { freePorts } from "../harness/ports.ts";
import { users } from "../harness/two-processes.ts";
import { Fleet, type Host, siteName } from "./hosts.ts";

/** An agent without any right, its helper, a real nginx with workers of their own, and a pebble with its faults on. */
let fleet: Fleet;
let pebble: Pebble;
let securePort: number;
const told: Record<string, unknown>[] = [];
const receiver = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  told.push(JSON.parse(body) as Record<string, unknown>);
  response.end();
});

function host(): Host {
  const [first] = fleet.hosts;
  if (first === undefined) throw new Error("no host");
  return first;
}

beforeAll(async () => {
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  [securePort = 0] = await freePorts(1);
  fleet = await Fleet.start(1);
  const { agent, port } = host();
  pebble = await Pebble.open({ httpPort: port });
  await agent.changeAppSettings("shop", {
    listen: [`127.0.0.1:${port}`, `127.0.0.1:${securePort} ssl`],
    tls: "auto",
    webhooks: [
      { url: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`, events: ["certificate_failed"] },
    ],
  });
  appendFileSync(join(agent.directory, "etc/agent.yml"), `acme: ${JSON.stringify(pebble.settings)}\n`);
  await agent.startWithHelper();
}, 60_000);
afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  await pebble?.[Symbol.asyncDispose]();
  receiver.closeAllConnections();
  receiver.close();
});

async function status(): Promise<CertificateView> {
  const { stdout, stderr } = await host().agent.cutover("tls", "status", "shop", "--json");
  const [view] = JSON.parse(stdout) as CertificateView[];
  if (view === undefined) throw new Error(`${stdout}${stderr}`);
  return view;
}

async function until(done: (view: CertificateView) => boolean): Promise<CertificateView> {
  for (const end = Date.now() + 40_000; Date.now() < end; await sleep(500)) {
    const view = await status();
    if (done(view)) return view;
  }
  throw new Error(`not in time: ${JSON.stringify(await status())}\n${host().agent.log}`);
}

function shown(): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { port: securePort, host: "127.0.0.1", servername: siteName, rejectUnauthorized: false };
    const socket = connect(options, () => {
      resolve(socket.getPeerX509Certificate()?.serialNumber ?? "");
      socket.destroy();
    }).once("error", reject);
  });
}

/** A visitor of the plain address who never stops, and follows to https when he is sent there. @returns what went wrong */
function visitor(): { end(): Promise<{ seen: number; failed: string[] }> } {
  const failed: string[] = [];
  let seen = 0;
  let going = true;
  const walk = async () => {
    while (going) {
      const headers = { host: siteName };
      const answer = await ask(host().port, "/version", { headers })
        .then((first) => (first.status === 301 ? ask(securePort, "/version", { headers, secure: true }) : first))
        .catch((error: Error) => ({ status: error.message }));
      seen += 1;
      if (answer.status !== 200) failed.push(String(answer.status));
      await sleep(5);
    }
  };
  const walking = walk();
  return {
    async end() {
      going = false;
      await walking;
      return { seen, failed };
    },
  };
}

test("one deploy brings a site to https: plain HTTP first, then the certificate, and no visitor notices", async () => {
  const { agent, port } = host();
  expect(await status()).toMatchObject({ app: "shop", waits: "its first deploy" });
  const { stdout } = await fleet.deploy({ version: "v1", config: { watch: "1s" } });
  expect(stdout).not.toContain("::warning");
  const visiting = visitor();
  const view = await until(({ certificate }) => certificate?.served === true);
  expect(view).toMatchObject({
    names: [siteName],
    failures: 0,
    certificate: { names: [siteName], issuer: expect.stringContaining("Pebble") },
  });
  expect((await ask(securePort, "/version", { headers: { host: siteName }, secure: true })).text).toContain("v1");
  const sent = await ask(port, "/x", { headers: { host: siteName } });
  expect([sent.status, sent.headers.location]).toEqual([301, `https://${siteName}:${securePort}/x`]);
  const before = await shown();

  // A second deploy and a renewal change nothing but what they are for.
  await fleet.deploy({ version: "v2", config: { watch: "1s" } });
  expect(await shown()).toBe(before);
  const renewed = await agent.cutover("tls", "renew", "shop");
  expect(renewed.stdout + renewed.stderr).toMatch(/shop +shop\.example\.com +valid +Pebble/);
  expect(await shown()).not.toBe(before);
  const { seen, failed } = await visiting.end();
  expect(seen).toBeGreaterThan(100);
  expect(failed).toEqual([]);

  const text = await agent.cutover("tls", "status");
  expect(text.stdout).toMatch(/^app +names +state +issuer +expires +renewed\nshop +shop\.example\.com +valid +/);
  const socket = join(agent.directory, "agent.sock");
  const metrics = spawnSync("curl", ["-s", "--unix-socket", socket, "http://agent/metrics"], {
    encoding: "utf8",
  }).stdout;
  expect(metrics).toMatch(/cutover_site_certificate_expiry_timestamp_seconds\{app="shop"\} \d{10}/);
  expect(metrics).toMatch(/cutover_certificate_orders_total\{app="shop",result="issued"\} 2/);
}, 120_000);

test("the site's key is root's alone, the account's key the agent's alone", async () => {
  const data = join(host().agent.directory, "data");
  const tls = join(data, "apps/shop/tls");
  const [live = ""] = readdirSync(tls).filter((name) => /^\d{8}-/.test(name));
  const key = join(tls, live, "key.pem");
  expect([statSync(tls).uid, statSync(tls).mode & 0o777, statSync(key).mode & 0o777]).toEqual([0, 0o700, 0o600]);
  const read = (user: string, file: string) =>
    spawnSync("setpriv", ["--reuid", user, "--clear-groups", "cat", file], { encoding: "utf8" }).status;
  const account = join(data, "acme/account.json");
  expect([users.agent, users.app, "www-data"].map((user) => [read(user, key), read(user, account)])).toEqual([
    [1, 0],
    [1, 1],
    [1, 1],
  ]);
});

test("a renewal that fails: the site goes on, and the reason and the next try are told everywhere", async () => {
  const { agent } = host();
  const before = await shown();
  await pebble.scratch.endProcesses();
  const failed = await agent.cutover("tls", "renew", "shop");
  expect([failed.code, failed.stderr]).toEqual([
    1,
    expect.stringMatching(/\[certificate_failed\] The authority at .* cannot be reached: connect ECONNREFUSED/),
  ]);
  const view = await status();
  expect(view).toMatchObject({ failures: 1, failed: { reason: expect.stringContaining("cannot be reached") } });
  expect(Date.parse(view.next ?? "")).toBeGreaterThan(Date.now() + 86_400_000);
  expect((await agent.cutover("tls", "status")).stdout).toMatch(
    /shop, \d{4}-\d\d-\d\d \d\d:\d\d UTC: The authority at/,
  );
  expect(await shown()).toBe(before);
  for (let tries = 0; told.length === 0 && tries < 50; tries++) await sleep(100);
  expect(told).toMatchObject([
    {
      event: "certificate_failed",
      app: "shop",
      names: [siteName],
      failures: 1,
      failure: { code: "certificate_failed" },
    },
  ]);
  expect((await agent.cutover("history", "shop")).stdout).toMatch(/renew certificate .*\[certificate_failed\]/);
  // A new agent finds everything as it was, and orders nothing.
  await agent.kill();
  await agent.startAgain();
  await until(({ certificate }) => certificate?.served === true);
  expect(await status()).toMatchObject({ failures: 1 });
  expect(await shown()).toBe(before);
  expect(await readFile(join(agent.directory, "data/acme/sites/shop.json"), "utf8")).not.toContain("PRIVATE");
}, 60_000);
