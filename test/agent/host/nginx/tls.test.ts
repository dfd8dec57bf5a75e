import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { expect, test } from "vitest";
import { MaintenanceFiles } from "../../../../agent/host/nginx/maintenance.ts";
import { freePort, testConfig } from "../scratch.ts";
import { ask, backend, nobody, saying, siteHost } from "./site-host.ts";

/** A host with one plain address and one with TLS, whose certificate it signed itself. */
async function secureHost(parts: object = {}) {
  const host = await siteHost();
  const securePort = await freePort();
  const [certificate, key] = [join(host.dir, "shop.pem"), join(host.dir, "shop.key")];
  execFileSync(
    "openssl",
    [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"],
      ...["-subj", "/CN=shop.example.com", "-keyout", key, "-out", certificate],
    ],
    { stdio: "ignore" },
  );
  const tls = { certificate, key };
  const listen = [`127.0.0.1:${host.port}`, `127.0.0.1:${securePort} ssl`];
  host.allow({ listen, tls, ...parts });
  return { ...host, securePort, tls, listen };
}

test("an address with ssl serves by TLS, and the others send there, with its port", async () => {
  const host = await secureHost();
  await host.serve({}, [await backend(saying("v1"))]);
  const answer = await ask(host.securePort, "/", { secure: true });
  expect(answer.text).toBe("v1");
  expect(JSON.parse(String(answer.headers["x-seen"]))).toMatchObject({ "x-forwarded-proto": "https" });
  const sent = await ask(host.port, "/a?b=c", { headers: { host: `shop.example.com:${host.port}` } });
  expect([sent.status, sent.headers.location]).toEqual([301, `https://shop.example.com:${host.securePort}/a?b=c`]);
});

test("the kinds of memory that nginx shares between its workers have names of their own: TLS, balance and a limit", async () => {
  const host = await secureHost();
  const site = { balance: "least_conn", limit_req: { rate: "600r/s" }, preview: { cookie: "preview=blue" } };
  await host.serve({ site }, [await backend(saying("v1"))]);
  expect((await ask(host.securePort, "/", { secure: true })).text).toBe("v1");
});

test("https_redirect false: both serve", async () => {
  const host = await secureHost();
  await host.serve({ site: { https_redirect: false } }, [await backend(saying("v1"))]);
  expect((await ask(host.port)).text).toBe("v1");
  expect((await ask(host.securePort, "/", { secure: true })).text).toBe("v1");
});

test("TLS 1.2 and 1.3, and HTTP/2", async () => {
  const host = await secureHost();
  await host.serve({}, [await backend(saying("v1"))]);
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    const options = { port: host.securePort, host: "127.0.0.1", rejectUnauthorized: false };
    const socket = connectTls({ ...options, minVersion: version, maxVersion: version, ALPNProtocols: ["h2"] });
    await new Promise((resolve) => socket.once("secureConnect", resolve));
    expect([socket.getProtocol(), socket.alpnProtocol]).toEqual([version, "h2"]);
    socket.destroy();
  }
  const old = ["s_client", "-connect", `127.0.0.1:${host.securePort}`, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"];
  expect(() => execFileSync("openssl", old, { stdio: ["ignore", "ignore", "ignore"] })).toThrow();
  const session = connectHttp2(`https://127.0.0.1:${host.securePort}`, { rejectUnauthorized: false });
  const stream = session.request({ ":path": "/", ":authority": "shop.example.com" });
  const [headers] = await Promise.all([
    new Promise<Record<string, unknown>>((resolve) => stream.once("response", resolve)),
    stream.resume() && new Promise((resolve) => stream.once("end", resolve)),
  ]);
  session.close();
  expect(JSON.parse(String(headers["x-seen"]))).toMatchObject({ host: "shop.example.com" });
});

test("ACME's answers are given over plain HTTP, also where everything else is sent to https", async () => {
  const host = await secureHost();
  const webroot = join(host.dir, "acme root");
  host.file("../../../acme root/.well-known/acme-challenge/token", "answer");
  host.allow({ listen: host.listen, tls: host.tls, acme_challenge: webroot });
  for (const redirect of [true, false]) {
    await host.serve({ site: { https_redirect: redirect } }, [nobody()]);
    const answer = await ask(host.port, "/.well-known/acme-challenge/token");
    expect([answer.status, answer.text, answer.headers["content-type"]]).toEqual([200, "answer", "text/plain"]);
    expect((await ask(host.port, "/.well-known/acme-challenge/none")).status).toBe(404);
  }
  await new MaintenanceFiles(host.settings.data).begin("shop", []);
  expect((await ask(host.port)).status).toBe(503);
  expect((await ask(host.port, "/.well-known/acme-challenge/token")).text).toBe("answer");
  await host.privileged.prepareApp("shop");
  const site = { site: { listen: [`127.0.0.1:${host.port}`] } };
  await host.serve(site, [nobody()]);
  expect((await ask(host.port, "/.well-known/acme-challenge/token")).text).toBe("answer");
});

test("a preview may have TLS too", async () => {
  const host = await secureHost();
  const port = await freePort();
  host.allow({ listen: host.listen, tls: host.tls, preview: [`127.0.0.1:${port} ssl`] });
  const parts = { site: { preview: { listen: `127.0.0.1:${port} ssl` } } };
  await host.serve(parts, [nobody()], { parts, instances: [await backend(saying("next"))] });
  expect((await ask(port, "/", { secure: true })).text).toBe("next");
});

test("without a certificate nothing is written, and it is told which line is missing or which file", async () => {
  const host = await secureHost();
  const { privileged, tls, listen } = host;
  await privileged.checkSite("shop", testConfig());
  rmSync(tls.key);
  await expect(privileged.checkSite("shop", testConfig())).rejects.toMatchObject({
    code: "certificate_missing",
    message: `The key of shop does not exist: ${tls.key}`,
    fix: expect.stringContaining("shop.yml on the host: tls: { certificate: FILE, key: FILE }"),
  });
  await expect(host.serve({}, [nobody()])).rejects.toMatchObject({ code: "certificate_missing" });
  host.allow({ listen });
  await expect(privileged.checkSite("shop", testConfig())).rejects.toMatchObject({
    code: "certificate_missing",
    fix: expect.stringMatching(
      /shop\.yml on the host, write: tls: auto; or name the files of another client: tls: \{ certificate: \S+, key: \S+ \}$/,
    ),
  });
  // Without a TLS address no certificate is needed, nor with a server block of one's own.
  await privileged.checkSite("shop", testConfig({ site: { listen: [`127.0.0.1:${host.port}`] } }));
  await privileged.checkSite("shop", testConfig({ site: "none" }));
});

test("n48: a way back has the certificate that nginx has, if the host's file no longer names one, and no TLS if it is gone", async () => {
  const host = await secureHost();
  const { listen } = host;
  const back = async (text: string, keepNames = true) =>
    host.traffic.route("shop", {
      main: { config: testConfig(), shares: [{ run: text, instances: [await backend(saying(text))], slots: 60 }] },
      preview: null,
      keepNames,
    });
  await host.serve({ site: { balance: "ip_hash" } }, [await backend(saying("now"))]);
  host.allow({ listen });
  await expect(back("old", false)).rejects.toMatchObject({ code: "certificate_missing" });
  await back("old");
  expect((await ask(host.securePort, "/", { secure: true })).text).toBe("old");

  rmSync(host.tls.key);
  await host.serve({ site: { listen: [`127.0.0.1:${host.port}`] } }, [await backend(saying("plain"))]);
  await back("older");
  expect((await ask(host.port)).text).toBe("older");
});

test("n48: without its certificate a site that has TLS alone goes on as it is", async () => {
  const host = await secureHost();
  const listen = [`127.0.0.1:${host.securePort} ssl`];
  host.allow({ listen, tls: host.tls });
  await host.serve({ site: { balance: "ip_hash" } }, [await backend(saying("now"))]);
  rmSync(host.tls.key);
  host.allow({ listen });
  const shares = [{ run: "old", instances: [await backend(saying("old"))], slots: 60 }];
  const back = host.traffic.route("shop", { main: { config: testConfig(), shares }, preview: null, keepNames: true });
  await expect(back).rejects.toMatchObject({ code: "certificate_missing" });
  expect((await ask(host.securePort, "/", { secure: true })).text).toBe("now");
});

test("a certificate that is none: nginx refuses it, and what was there goes on", async () => {
  const host = await secureHost();
  const plain = { site: { listen: [`127.0.0.1:${host.port}`] } };
  const instance = await backend(saying("v1"));
  await host.serve(plain, [instance]);
  host.file("../../../shop.pem", "not a certificate");
  await expect(host.serve({}, [instance])).rejects.toMatchObject({ code: "nginx_config_broken" });
  expect((await ask(host.port)).text).toBe("v1");
});
