import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { certificateFacts } from "../../../../agent/doctor/facts/certificates.ts";
import { agentSettingsSchema } from "../../../../agent/settings.ts";
import { scratch } from "../../host/scratch.ts";
import { appFacts, appSettings, liveConfig } from "../facts.ts";

function certificateFor(...names: string[]) {
  const dir = scratch();
  const files = { certificate: join(dir, "site.pem"), key: join(dir, "site.key") };
  const words = ["req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "90", "-subj", "/CN=site"];
  const alternatives = `subjectAltName=${names.map((name) => `DNS:${name}`).join(",")}`;
  const out = ["-addext", alternatives, "-keyout", files.key, "-out", files.certificate];
  execFileSync("openssl", [...words, ...out], { stdio: "ignore" });
  return files;
}

const settings = agentSettingsSchema.parse({});
const domains = ["example.com", "www.example.com", "*.shop.example.com"];
const live = liveConfig({
  site: { server_name: ["example.com", "*.shop.example.com"], redirects: { "www.example.com": "example.com" } },
});

async function missing(tls: ReturnType<typeof certificateFor>, listen: (string | number)[] = [80, "443 ssl"]) {
  const app = appFacts({ settings: appSettings({ domains, listen, tls }), live });
  const [facts] = await certificateFacts(settings, [app], []);
  expect(facts?.problem).toBeUndefined();
  return facts?.missing;
}

test("a certificate must be for the site's names, and for those that it sends on", async () => {
  expect(await missing(certificateFor("example.com", "*.shop.example.com"))).toEqual(["www.example.com"]);
  expect(await missing(certificateFor("example.com", "www.example.com"))).toEqual(["*.shop.example.com"]);
  expect(await missing(certificateFor("example.com", "www.example.com", "*.shop.example.com"))).toEqual([]);
});

test("one that no address uses may be for any name", async () => {
  expect(await missing(certificateFor("example.org"), [80])).toEqual([]);
});

test("a credential of a stopped agent is looked at where systemd will copy it from", async () => {
  const tls = { certificate: certificateFor("web1.example.com").certificate, key: "keys_cutover-test-none.key" };
  const [facts] = await certificateFacts(agentSettingsSchema.parse({ tls, listen: "127.0.0.1:7070" }), [], []);
  expect(facts?.problem).toBe("/etc/cutover/credentials/cutover-test-none.key cannot be read: ENOENT");
});
