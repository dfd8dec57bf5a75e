import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { get, request } from "node:https";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { embeddedLayout } from "../../agent/host/embedded/files.ts";
import { formatAudience } from "../../shared/audience.ts";
import { pathOf } from "../../shared/call.ts";
import { importPrivateKey, signToken } from "../../shared/key.ts";
import { calls } from "../../shared/protocol.ts";
import { makeBundle } from "../fixtures/bundle.ts";
import { copyShop } from "../fixtures/shop.ts";
import { type ActionResult, runAction } from "../harness/action.ts";
import { EmbeddedAgent, type Key } from "../harness/agent.ts";
import { type Certificate, makeCertificate } from "../harness/certificate.ts";
import { freePorts } from "../harness/ports.ts";
import { runProgram } from "../harness/run.ts";

let agent: EmbeddedAgent;
let key: Key;
let first: Certificate;
let ports: { agent: number; site: number; front: number };

beforeAll(async () => {
  const [own = 0, site = 0, front = 0] = await freePorts(3);
  ports = { agent: own, site, front };
  agent = new EmbeddedAgent(own, { name: "tls", scheme: "https" });
  first = await makeCertificate(agent.scratch.path, "first");
  await agent.start();
  key = await agent.newKey();
  await agent.addApp({ key, ports: [site] });
  await copyShop(join(agent.scratch.path, "checkout"), {
    version: "v1",
    config: {
      server: { kind: "gunicorn", app: "shop.wsgi:application", instances: 1, workers: 1, threads: 2 },
      python: { wheels: "none", system_site_packages: true },
      release: undefined,
    },
  });
});
afterAll(() => agent?.[Symbol.asyncDispose]());

async function restart(settings: object): Promise<void> {
  await agent.end();
  const file = embeddedLayout(agent.directory).agentSettings;
  await writeFile(file, stringify({ ...(parse(await readFile(file, "utf8")) as object), ...settings }));
  await agent.start();
}

function deploy(url: string, commit: string): Promise<ActionResult> {
  return runAction({
    inputs: { hosts: url, "signing-key": key.privatePem },
    cwd: join(agent.scratch.path, "checkout"),
    env: { NODE_EXTRA_CA_CERTS: first.certificateFile, GITHUB_SHA: commit.repeat(40) },
  });
}

/** What the agent shows to whoever connects now. */
function certificateShown(): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port: ports.agent, host: "127.0.0.1", rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    }).once("error", reject);
  });
}

describe("an agent behind the host's nginx, at a path", () => {
  it("takes a deploy that the nginx snippet of agent/http/README.md passes on", async () => {
    await restart({ names: [`localhost:${ports.front}`] });
    const { nginx } = embeddedLayout(agent.directory);
    const snippet =
      /<!-- snippet:nginx -->\n```nginx\n(.*?)```/s.exec(await readFile("agent/http/README.md", "utf8"))?.[1] ?? "";
    expect(snippet).toContain("127.0.0.1:7070");
    const server = [
      `listen 127.0.0.1:${ports.front} ssl;`,
      `ssl_certificate ${first.certificateFile};`,
      `ssl_certificate_key ${first.keyFile};`,
      snippet.replace("127.0.0.1:7070", `127.0.0.1:${ports.agent}`),
    ];
    await writeFile(join(nginx.confDir, "front.conf"), `server {\n${server.join("\n")}\n}\n`);
    const reload = await runProgram(["nginx", "-c", nginx.conf, "-s", "reload"], { env: process.env });
    expect(reload.code, reload.stderr).toBe(0);
    await sleep(200);
    const result = await deploy(`https://localhost:${ports.front}/cutover/`, "a");
    expect(result.exitCode, result.stdout).toBe(0);
    expect((await agent.appView()).live).toBe(result.outputs.release);
    // Below another path there is nginx and no agent.
    const elsewhere = await deploy(`https://localhost:${ports.front}/`, "b");
    expect(elsewhere.stdout).toContain("agent_incompatible");
  });

  it("gets an upload while it comes, and its events arrive when they happen", async () => {
    const front = { host: "localhost", port: ports.front, ca: first.certificate, agent: false as const };
    const { bytes, digest } = makeBundle({ files: { "app/noise.bin": randomBytes(2_000_000) } });
    const audience = formatAudience({
      host: `localhost:${ports.front}`,
      app: "shop",
      operation: { name: "deploy", digest },
    });
    const token = await signToken(await importPrivateKey(key.privatePem), audience, { sub: "test" });
    const said = agent.log.length;
    const headers = { authorization: `Bearer ${token}`, "content-length": bytes.length };
    const upload = request({
      ...front,
      method: "POST",
      path: `/cutover${pathOf(calls.deploy, { app: "shop" })}`,
      headers,
    });
    upload.on("error", () => undefined);
    upload.write(bytes.subarray(0, bytes.length / 2));
    try {
      // A proxy that stores uploads would pass nothing on yet.
      const begun = /"deployment":"([^"]+)"[^\n]*"msg":"deployment begins"/;
      while (!begun.test(agent.log.slice(said))) await sleep(20);
      const [, id = ""] = begun.exec(agent.log.slice(said)) ?? [];
      const [events] = (await once(get({ ...front, path: `/cutover${pathOf(calls.events, { id })}` }), "response")) as [
        IncomingMessage,
      ];
      // And one that stores answers would pass on no event before the last.
      const [event] = await once(events, "data");
      expect(String(event)).toContain('"type":"state","state":"verified"');
      events.destroy();
    } finally {
      upload.destroy();
    }
    while (!agent.log.slice(said).includes('"msg":"deployment ended"')) await sleep(20);
  });
});

describe("an agent with TLS of its own", () => {
  it("does not start with plain HTTP beyond this host, and says what to do", async () => {
    await agent.end();
    const file = embeddedLayout(agent.directory).agentSettings;
    const text = await readFile(file, "utf8");
    await writeFile(file, text.replace(/listen: .*/, `listen: 0.0.0.0:${ports.agent}`));
    await expect(agent.start()).rejects.toThrow(/plain HTTP goes only to this host itself.*\[host_settings_invalid\]/s);
    await writeFile(file, text);
    await agent.start();
  });

  it("takes a deploy, and a renewed certificate without a restart; a broken one is told and not used", async () => {
    const used = { certificate: join(agent.scratch.path, "used.pem"), key: join(agent.scratch.path, "used.key") };
    await copyFile(first.certificateFile, used.certificate);
    await copyFile(first.keyFile, used.key);
    await restart({ names: [`localhost:${ports.agent}`], tls: used });
    const result = await deploy(`https://localhost:${ports.agent}`, "c");
    expect(result.exitCode, result.stdout).toBe(0);
    expect(await certificateShown()).toBe("first");
    const { pid } = agent;

    await writeFile(used.certificate, first.certificate.slice(0, 200));
    while (!agent.log.includes("the renewed certificate cannot be used")) await sleep(50);
    expect(await certificateShown()).toBe("first");
    const doctor = await agent.cutover("doctor");
    expect(doctor.stdout).toContain("used.pem or its key is not a valid PEM file");

    const second = await makeCertificate(agent.scratch.path, "second");
    await copyFile(second.keyFile, used.key);
    await copyFile(second.certificateFile, used.certificate);
    while (!agent.log.includes('"msg":"certificate renewed"')) await sleep(50);
    expect(await certificateShown()).toBe("second");
    expect(agent.pid).toBe(pid);
  }, 120_000);
});
