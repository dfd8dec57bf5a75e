import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { AgentClient } from "../../../action/client/agent-client.ts";
import { usualTiming } from "../../../action/client/timing.ts";
import type { CutoverError } from "../../../shared/errors.ts";
import { type Certificate, makeCertificate } from "../../harness/certificate.ts";
import { freePorts } from "../../harness/ports.ts";
import { never, refusal, Workspace } from "../workspace.ts";

/** What a person reads whose address leads to something else than an agent, or nowhere: real servers, real certificates. */

let files: Workspace;
let good: Certificate;
let ended: Certificate;
beforeAll(async () => {
  files = new Workspace();
  [good, ended] = await Promise.all([makeCertificate(files.path, "good"), makeCertificate(files.path, "ended")]);
  const { certificateFile: file, keyFile } = ended;
  const signing = ["x509", "-in", file, "-signkey", keyFile, "-days", "-1", "-out", files.at("old.pem")];
  await promisify(execFile)("openssl", signing);
  ended = { ...ended, certificate: readFileSync(files.at("old.pem"), "utf8") };
});
afterAll(() => files?.[Symbol.dispose]());

async function listening(server: Server, address = "127.0.0.1"): Promise<number> {
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server.listen(0, address), "listening");
  return (server.address() as AddressInfo).port;
}

const ok: RequestListener = (_request, response) => void response.end("hello");

function checked(url: string): Promise<CutoverError> {
  const client = new AgentClient(new URL(url), { timing: { ...usualTiming, retries: 1, firstDelayMs: 1 } });
  return refusal(() => client.check(never));
}

function trust(...certificates: string[]): void {
  const before = getCACertificates("default");
  setDefaultCACertificates([...before, ...certificates]);
  onTestFinished(() => setDefaultCACertificates(before));
}

test("https:// to a server that speaks plain HTTP", async () => {
  const host = `127.0.0.1:${await listening(createServer(ok))}`;
  const error = await checked(`https://${host}`);
  expect(error).toMatchObject({
    code: "agent_incompatible",
    message: `What answers at ${host} speaks plain HTTP, and the address says https.`,
    unchanged: "Nothing was changed on this host by this call.",
  });
  expect(error.fix).toContain(`http://${host}`);
});

test("http:// to a server that speaks TLS", async () => {
  const host = `127.0.0.1:${await listening(createTlsServer({ cert: good.certificate, key: good.key }, ok))}`;
  expect(await checked(`http://${host}`)).toMatchObject({
    code: "agent_incompatible",
    message: `What answers at ${host} wants TLS.`,
    fix: `Write the address in hosts as https://${host}.`,
  });
});

test("a certificate of an authority that this runner does not know", async () => {
  const host = `127.0.0.1:${await listening(createTlsServer({ cert: good.certificate, key: good.key }, ok))}`;
  const error = await checked(`https://${host}`);
  expect(error.message).toBe(
    `This runner does not know who signed the certificate of ${host} (DEPTH_ZERO_SELF_SIGNED_CERT).`,
  );
  expect(error.fix).toContain("set NODE_EXTRA_CA_CERTS in `env` of the job");
});

test("a certificate that has expired", async () => {
  trust(ended.certificate);
  const host = `127.0.0.1:${await listening(createTlsServer({ cert: ended.certificate, key: ended.key }, ok))}`;
  expect((await checked(`https://${host}`)).message).toBe(`The certificate of ${host} has expired.`);
});

test("a certificate for another name", async () => {
  trust(good.certificate);
  const port = await listening(createTlsServer({ cert: good.certificate, key: good.key }, ok), "127.0.0.2");
  const error = await checked(`https://127.0.0.2:${port}`);
  expect(error.message).toBe(`The certificate at 127.0.0.2:${port} is for 127.0.0.1, and not for 127.0.0.2.`);
  expect(error.fix).toBe("Write such a name into hosts, or give the agent a certificate for 127.0.0.2.");
});

test("an address that takes the connection and says nothing", async () => {
  const host = `127.0.0.1:${await listening(createServer(() => undefined))}`;
  const error = await checked(`http://${host}`);
  expect(error.message).toBe(`What answers at ${host} takes the connection and says nothing: nothing came for 5 s.`);
  expect(error.fix).toContain("the agent listens on 7070");
});

test("a name that does not resolve", async () => {
  const error = await checked("https://no-such-host.invalid:7070");
  expect(error.message).toMatch(
    /^(?:The name no-such-host\.invalid does not resolve|This runner's DNS did not answer for no-such-host\.invalid)/,
  );
  expect(error.fix).toMatch(/DNS|name servers/);
});

test("a port where nothing listens", async () => {
  const [port] = await freePorts(1);
  const error = await checked(`http://127.0.0.1:${port}`);
  expect(error.message).toContain(`No agent answers at 127.0.0.1:${port}: connect ECONNREFUSED`);
  expect(error.fix).toContain("systemctl status cutover-agent");
  expect(error.fix).toContain(`port ${port}`);
});

test("a proxy that makes no connection to the host", async () => {
  const proxy = createServer(ok).on("connect", (_request, socket) => socket.end("HTTP/1.1 403 Forbidden\r\n\r\n"));
  const before = process.env.https_proxy;
  process.env.https_proxy = `http://127.0.0.1:${await listening(proxy)}`;
  onTestFinished(() => {
    if (before === undefined) delete process.env.https_proxy;
    else process.env.https_proxy = before;
  });
  const error = await checked("https://web1.example.com:7070");
  expect(error.message).toBe("The proxy of this runner makes no connection to web1.example.com:7070: statusCode=403.");
  expect(error.fix).toContain("port 7070, or name web1.example.com in no_proxy");
});

/** nginx as people put it in front of an agent, with what goes wrong there. */
async function nginx(body: string, files: Workspace): Promise<string> {
  const [port = 0] = await freePorts(1);
  files.write(
    "nginx.conf",
    `daemon off; master_process off; pid ${files.at("pid")}; error_log stderr crit; events {}
http { access_log off; client_body_temp_path ${files.at("b")}; proxy_temp_path ${files.at("p")};
fastcgi_temp_path ${files.at("f")}; uwsgi_temp_path ${files.at("u")}; scgi_temp_path ${files.at("s")};
server { listen 127.0.0.1:${port}${body} } }`,
  );
  const child = spawn("nginx", ["-c", files.at("nginx.conf"), "-e", "stderr"], { stdio: "ignore" });
  onTestFinished(() => void child.kill("SIGKILL"));
  for (;;) {
    const socket = connect(port, "127.0.0.1");
    const up = await new Promise((resolve) =>
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false)),
    );
    socket.destroy();
    if (up) return `127.0.0.1:${port}`;
    if (child.exitCode !== null) throw new Error("nginx has ended");
    await sleep(20);
  }
}

test.each([
  ["with TLS, asked without", "tls", /wants TLS\.$/, /Write the address in hosts as https:\/\//],
  [
    "that redirects",
    "; return 301 https://login.example.com/;",
    /HTTP 301, a redirect to https:\/\/login/,
    /address of the agent itself/,
  ],
  ["that lets nobody through", "; return 403;", /refuses this runner/, /checks each call's token itself/],
  [
    "without an agent behind it",
    "; location / { proxy_pass http://127.0.0.1:1; }",
    /does not reach the agent: HTTP 502/,
    /systemctl status cutover-agent/,
  ],
  ["that has only a site", "; root /var/empty;", /is not the agent: HTTP 404/, /its port/],
  ["that says hello to all", '; return 200 "hello";', /is not a cutover agent/, /listens on 7070/],
])("an nginx %s", async (_title, body, message, fix) => {
  using files = new Workspace();
  const tls = ` ssl; ssl_certificate ${good.certificateFile}; ssl_certificate_key ${good.keyFile};`;
  const error = await checked(`http://${await nginx(body === "tls" ? tls : body, files)}`);
  expect(error.message).toMatch(message);
  expect(error.fix).toMatch(fix);
});
