import { X509Certificate } from "node:crypto";
import { mkdirSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { expect, test } from "vitest";
import { certificateRequest } from "../../../../agent/host/certificates/certificate-request.ts";
import { ChallengeFiles, challengesDirectory } from "../../../../agent/host/certificates/challenges.ts";
import { openAuthority } from "../../../harness/authority.ts";
import { freePort, testConfig } from "../scratch.ts";
import { ask, backend, nobody, saying, siteHost } from "./site-host.ts";

/** A host whose site has `tls: auto`, and no certificate yet. */
async function autoHost(parts: object = {}) {
  const host = await siteHost();
  const securePort = await freePort();
  const listen = [`127.0.0.1:${host.port}`, `127.0.0.1:${securePort} ssl`];
  host.allow({ listen, tls: "auto", domains: ["shop.example.com", "www.example.com"], ...parts });
  const authority = openAuthority(host.dir);
  const certify = async (names = ["shop.example.com"]) => {
    const chain = authority.sign(await host.privileged.certificateRequest("shop", names));
    await host.privileged.installCertificate("shop", chain);
    return new X509Certificate(chain).serialNumber;
  };
  const shown = () =>
    new Promise<string>((resolve, reject) => {
      const socket = connect({ port: securePort, host: "127.0.0.1", rejectUnauthorized: false }, () => {
        resolve(socket.getPeerX509Certificate()?.serialNumber ?? "");
        socket.destroy();
      }).once("error", reject);
    });
  return { ...host, securePort, listen, authority, certify, shown };
}

test("a site is served over plain HTTP with the answers to challenges, until there is a certificate; then https comes", async () => {
  const host = await autoHost();
  const instance = await backend(saying("v1"));
  await host.privileged.checkSite("shop", testConfig());
  await host.serve({}, [instance]);
  expect((await ask(host.port)).text).toBe("v1");
  await expect(ask(host.securePort, "/", { secure: true })).rejects.toMatchObject({ code: "ECONNREFUSED" });

  const challenges = new ChallengeFiles(host.settings.data);
  await challenges.put("to-ken_1", "answer");
  const url = "/.well-known/acme-challenge/to-ken_1";
  const answer = await ask(host.port, url);
  expect([answer.status, answer.text, answer.headers["content-type"]]).toEqual([200, "answer", "text/plain"]);
  const directory = join(challengesDirectory(host.settings.data), ".well-known/acme-challenge");
  symlinkSync("/etc/hostname", join(directory, "link"));
  expect((await ask(host.port, "/.well-known/acme-challenge/link")).status).toBe(404);
  for (const token of ["../up", "", "a/b"]) await expect(challenges.put(token, "x")).rejects.toThrow("invalid token");

  const serial = await host.certify();
  expect(await host.serve({}, [instance])).toEqual({ reloaded: true });
  expect(await host.serve({}, [instance])).toEqual({ reloaded: false });
  expect((await ask(host.securePort, "/", { secure: true })).text).toBe("v1");
  expect(await host.shown()).toBe(serial);
  expect((await ask(host.port)).status).toBe(301);
  expect((await ask(host.port, url)).text).toBe("answer");
  await challenges.remove("to-ken_1");
  expect((await ask(host.port, url)).status).toBe(404);
});

test("a renewed certificate is shown after one reload; its key and the one before stay root's alone", async () => {
  const host = await autoHost();
  const instance = await backend(saying("v1"));
  await host.certify();
  await host.serve({}, [instance]);
  const second = await host.certify();
  expect(await host.shown()).not.toBe(second);
  expect(await host.serve({}, [instance])).toEqual({ reloaded: true });
  expect(await host.shown()).toBe(second);
  const third = await host.certify(["shop.example.com", "www.example.com"]);
  await host.serve({}, [instance]);
  expect(await host.shown()).toBe(third);
  const tls = join(host.home, "tls");
  const versions = readdirSync(tls).filter((name) => name !== "live");
  expect(versions).toHaveLength(2);
  expect(statSync(tls).mode & 0o777).toBe(0o700);
  for (const name of versions) expect(statSync(join(tls, name, "key.pem")).mode & 0o777).toBe(0o600);
  const chain = new X509Certificate((await host.privileged.certificate("shop")) ?? "");
  expect(chain.subjectAltName).toBe("DNS:shop.example.com, DNS:www.example.com");
});

test("what is no certificate for the key here is refused, and changes nothing", async () => {
  const host = await autoHost();
  const { privileged, authority } = host;
  expect(await privileged.certificate("shop")).toBeUndefined();
  const names = ["shop.example.com"];
  const other = authority.sign(await privileged.certificateRequest("shop", names));
  const request = await privileged.certificateRequest("shop", names);
  const failed = { code: "certificate_failed" };
  for (const chain of [other, "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", other.repeat(9)])
    await expect(privileged.installCertificate("shop", chain)).rejects.toMatchObject(failed);
  await expect(privileged.certificateRequest("shop", ["other.example"])).rejects.toMatchObject({
    code: "domain_not_allowed",
  });
  const chain = authority.sign(request);
  await privileged.installCertificate("shop", `ssl_engine rdrand;\n${chain}`);
  expect(await privileged.certificate("shop")).toBe(chain);
  // The answer to the first one was lost.
  await privileged.installCertificate("shop", chain);
  host.allow({ listen: host.listen });
  await expect(privileged.certificateRequest("shop", names)).rejects.toMatchObject({ code: "host_settings_invalid" });
});

test("a site with another client's certificate keeps it until the agent has one", async () => {
  const host = await autoHost();
  const instance = await backend(saying("v1"));
  const { key, request } = await certificateRequest(["shop.example.com"]);
  const tls = { certificate: join(host.dir, "old.pem"), key: join(host.dir, "old.key") };
  writeFileSync(tls.certificate, host.authority.sign(request));
  writeFileSync(tls.key, key);
  host.allow({ listen: host.listen, tls });
  await host.serve({}, [instance]);
  const old = await host.shown();
  host.allow({ listen: host.listen, tls: "auto", domains: ["shop.example.com"] });
  await host.serve({}, [instance]);
  expect(await host.shown()).toBe(old);
  expect((await ask(host.port)).status).toBe(301);
  const serial = await host.certify();
  await host.serve({}, [instance]);
  expect(await host.shown()).toBe(serial);
});

test("a site with another client's certificate that is gone is served over plain HTTP", async () => {
  const host = await autoHost();
  await host.certify();
  await host.serve({}, [nobody()]);
  rmSync(join(host.home, "tls"), { recursive: true });
  await host.serve({}, [nobody()]);
  expect((await ask(host.port)).status).toBe(502);
});

test("certbot's webroot goes on, and comes first", async () => {
  const webroot = join((await siteHost()).dir, "webroot");
  const host = await autoHost({ acme_challenge: webroot });
  const directory = join(webroot, ".well-known/acme-challenge");
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "certbot"), "of certbot");
  await new ChallengeFiles(host.settings.data).put("own", "of the agent");
  for (const certified of [false, true]) {
    if (certified) await host.certify();
    await host.serve({}, [nobody()]);
    expect((await ask(host.port, "/.well-known/acme-challenge/certbot")).text).toBe("of certbot");
    expect((await ask(host.port, "/.well-known/acme-challenge/own")).text).toBe("of the agent");
    expect((await ask(host.port, "/.well-known/acme-challenge/none")).status).toBe(404);
  }
});

test("a preview with TLS waits for the first certificate too", async () => {
  const host = await autoHost();
  const port = await freePort();
  host.allow({ listen: host.listen, tls: "auto", domains: ["shop.example.com"], preview: [`127.0.0.1:${port} ssl`] });
  const parts = { site: { preview: { listen: `127.0.0.1:${port} ssl` } } };
  const preview = { parts, instances: [await backend(saying("next"))] };
  await host.serve(parts, [nobody()], preview);
  await expect(ask(port, "/", { secure: true })).rejects.toMatchObject({ code: "ECONNREFUSED" });
  await host.certify();
  await host.serve(parts, [nobody()], preview);
  expect((await ask(port, "/", { secure: true })).text).toBe("next");
});

test.each([
  ["a site without a name", { domains: [] }, false, "has no name"],
  ["a wildcard", { domains: ["*.example.com"] }, false, "DNS alone"],
  ["https alone", { domains: ["shop.example.com"] }, true, "no address without ssl"],
])("%s gets no certificate, and a deploy says so before anything is unpacked", async (_, keys, secureOnly, why) => {
  const host = await autoHost();
  host.allow({ listen: secureOnly ? host.listen.slice(1) : host.listen, tls: "auto", ...keys });
  await expect(host.privileged.checkSite("shop", testConfig())).rejects.toMatchObject({
    code: "certificate_missing",
    message: expect.stringContaining(why),
    fix: expect.stringMatching(/\S/),
  });
});
