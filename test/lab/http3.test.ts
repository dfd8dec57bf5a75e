import { readFileSync } from "node:fs";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import puppeteer, { type Browser, type Page } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Scratch } from "../harness/scratch.ts";
import { eachDebian } from "./debian.ts";
import { describeOn } from "./describe-lab.ts";
import { LabFleet, siteName } from "./lab-fleet.ts";
import type { LabHost } from "./lab-host.ts";
import { SmallApp } from "./small-app.ts";

const minutes = 60_000;

/** The file of agent.yml's page, as it stands there. */
function documentedServer(): string {
  const page = readFileSync("agent/host/nginx/README.md", "utf8");
  return /^```nginx\n(server \{\n.*quic reuseport.*?)^```$/ms.exec(page)?.[1] ?? "";
}

/** Asks 200 times in the page, and counts the answers: each status or what went wrong, and the protocols by which they came. */
const visit = `(async () => {
  const seen = {};
  const count = (what) => (seen[what] = (seen[what] ?? 0) + 1);
  for (let round = 0; round < 200; round++) {
    const answered = (answer) => answer.text().then(() => answer.status);
    count(await fetch("/?round=" + round, { cache: "no-store" }).then(answered).catch((error) => error.message));
    await new Promise((done) => setTimeout(done, 50));
  }
  const rounds = performance.getEntriesByType("resource").filter(({ name }) => name.includes("?round="));
  for (const { nextHopProtocol } of rounds) count(nextHopProtocol);
  return seen;
})()`;

/** nginx of Debian 12 has no HTTP/3. The visitor is Chromium, in the lab's network. */
for (const release of eachDebian().filter(({ version }) => version === "13"))
  describeOn(release, "HTTP/3 on Debian 13", () => {
    let fleet: LabFleet;
    let browser: Browser;
    let page: Page;
    const app = new SmallApp();
    const scratch = new Scratch("lab-http3");
    const host = () => fleet.hosts[0] as LabHost;

    beforeAll(async () => {
      fleet = await LabFleet.start(1, { debian: release });
      await fleet.install(host(), await fleet.package());
      await fleet.writeAgentYml(host(), { nginx: { http3: true } });
      await host().check("systemctl", "restart", "cutover-agent");
      await fleet.addApp(host(), "shop", "--listen", "443 ssl", "--domain", siteName);
      const subject = ["-subj", `/CN=${siteName}`, "-addext", `subjectAltName=DNS:${siteName}`];
      const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout", "/etc/shop.key"];
      await host().check("openssl", "req", "-x509", ...key, ...subject, "-days", "90", "-out", "/etc/shop.pem");
      const tls = "tls: { certificate: /etc/shop.pem, key: /etc/shop.key }";
      await host().check("sh", "-c", `echo '${tls}' >>/etc/cutover/apps/shop.yml`);
    }, 3 * minutes);
    afterAll(async () => {
      await browser?.close();
      await fleet?.[Symbol.asyncDispose]();
      await app[Symbol.asyncDispose]();
      await scratch[Symbol.asyncDispose]();
    });

    /** Debian's Chromium as a program in the lab's network, which knows the host by the site's name and its key. @param more options */
    async function openBrowser(...more: string[]): Promise<Browser> {
      const program = join(scratch.path, "chromium");
      const inNetwork = fleet.lab.namespaces.inNetwork.map((word) => `'${word}'`).join(" ");
      await writeFile(program, `#!/bin/sh\nexec ${inNetwork} /usr/bin/chromium "$@"\n`);
      await chmod(program, 0o755);
      const hash =
        "openssl x509 -in /etc/shop.pem -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64";
      const pin = (await host().check("sh", "-c", hash)).trim();
      const names = `MAP ${siteName} ${host().address}`;
      const words = [`--ignore-certificate-errors-spki-list=${pin}`, `--host-resolver-rules=${names}`];
      return puppeteer.launch({
        executablePath: program,
        args: ["--no-sandbox", "--disable-dev-shm-usage", "--enable-quic", ...words, ...more],
        // It is in another network, so there is no port to talk to it.
        pipe: true,
        userDataDir: join(scratch.path, "profile"),
      });
    }

    /** By which protocol the page itself came, such as `h2`. */
    const protocol = () => page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol");

    test(
      "a browser that comes by HTTP/2 is told of HTTP/3; one that comes by that sees a deploy without a failed request",
      async () => {
        const doctor = async () => (await host().run("cutover", "doctor")).stdout;
        await app.deploy(host());
        expect(await doctor()).toContain("has no `reuseport`");
        await host().write("/etc/nginx/conf.d/http3.conf", documentedServer());
        await host().check("systemctl", "reload", "nginx");
        expect(await doctor()).not.toContain("reuseport");
        browser = await openBrowser();
        page = await browser.newPage();
        const url = `https://${siteName}/`;
        const answer = await page.goto(url);
        expect([answer?.status(), await protocol()]).toEqual([200, "h2"]);
        expect(answer?.headers()["alt-svc"]).toBe('h3=":443"; ma=86400');
        await browser.close();
        // With a certificate of nobody's Chromium does not go there by itself.
        browser = await openBrowser(`--origin-to-force-quic-on=${siteName}:443`);
        page = await browser.newPage();
        expect((await page.goto(url))?.status()).toBe(200);
        expect(await protocol()).toBe("h3");
        const visits = page.evaluate(visit);
        const live = await app.deploy(host());
        expect(await visits).toEqual({ 200: 200, h3: 200 });
        expect(await page.evaluate("fetch('/version').then((answer) => answer.text())")).toContain(live);
      },
      4 * minutes,
    );
  });
