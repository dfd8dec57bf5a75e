import { execFileSync } from "node:child_process";
import { chmodSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { MaintenanceFiles } from "../../../../agent/host/nginx/maintenance.ts";
import { configSchema } from "../../../../shared/config.ts";
import { makeCertificate } from "../../../harness/certificate.ts";
import { eventually, freePort, scratch, testConfig } from "../scratch.ts";
import { ask, backend, nobody, saying, seen, siteHost } from "./site-host.ts";

const host = (name: string) => ({ headers: { host: name } });

test("redirects: names are sent on to another one, with the path, and the host must allow them", async () => {
  const shop = await siteHost();
  const securePort = await freePort();
  const { certificateFile: certificate, keyFile: key } = await makeCertificate(scratch(), "shop");
  const listen = [`127.0.0.1:${shop.port}`, `127.0.0.1:${securePort} ssl`];
  const domains = ["shop.example.com", "www.shop.example.com"];
  shop.allow({ listen, domains, tls: { certificate, key } });
  const redirects = { "www.shop.example.com": "shop.example.com" };
  await shop.serve({ site: { redirects } }, [await backend(saying("v1"))]);
  for (const [port, secure] of [[shop.port, false] as const, [securePort, true] as const]) {
    const answer = await ask(port, "/a?b=c", { secure, ...host("www.shop.example.com") });
    expect([answer.status, answer.headers.location]).toEqual([301, `https://shop.example.com:${securePort}/a?b=c`]);
  }
  expect((await ask(securePort, "/", { secure: true, ...host("shop.example.com") })).text).toBe("v1");
  await shop.serve({ site: { redirects, https_redirect: false } }, [nobody()]);
  expect((await ask(shop.port, "/a", host("www.shop.example.com"))).headers.location).toBe("http://shop.example.com/a");
  shop.allow({ domains: ["shop.example.com"] });
  await expect(shop.privileged.checkSite("shop", testConfig({ site: { redirects } }))).rejects.toMatchObject({
    code: "domain_not_allowed",
    fix: expect.stringContaining("www.shop.example.com"),
  });
  const round = configSchema.safeParse({
    app: "shop",
    server: { kind: "gunicorn", app: "a:b" },
    site: { redirects: { "a.example": "b.example", "b.example": "a.example" } },
  });
  expect(round.error?.issues[0]?.message).toContain("which is sent on too");
});

test("static files at the top: a single file, and / where what is no file goes to the app", async () => {
  const shop = await siteHost();
  shop.file("releases/v1/static/robots.txt", "robots");
  shop.file("releases/v1/static/about.html", "about");
  shop.link("current", "v1");
  const instance = await backend(saying("app"));
  await shop.serve({ static: [{ url: "/robots.txt", from: "web/robots.txt", expires: "1h" }] }, [instance]);
  expect(await ask(shop.port, "/robots.txt")).toMatchObject({
    text: "robots",
    headers: { "cache-control": "max-age=3600" },
  });
  for (const path of ["/robots.txt.bak", "/about.html"]) expect((await ask(shop.port, path)).text).toBe("app");
  await shop.serve({ static: [{ url: "/", from: "web" }] }, [instance]);
  const texts = ["/about.html", "/", "/none.html", "/none.0123456789ab.js"];
  const answers = await Promise.all(texts.map((path) => ask(shop.port, path)));
  expect(answers.map(({ text }) => text)).toEqual(["about", "app", "app", "app"]);
  expect((await ask(shop.port, "/form", { method: "POST", body: "x" })).text).toBe("app");
});

test("a single-page app: its page wherever there is no file, and the app where it says so", async () => {
  const shop = await siteHost();
  shop.file("releases/v1/static/index.html", "the page");
  shop.file("releases/v1/static/app.0123456789ab.js", "script");
  shop.link("current", "v1");
  const instance = await backend(saying("app"));
  const entry = { url: "/", from: "dist", fallback: "index.html", except: ["/api/", "/admin/"] };
  await shop.serve({ static: [entry], site: { add_header: { "X-A": "b" } } }, [instance]);
  for (const path of ["/", "/index.html", "/orders/7", "/apis"]) {
    expect(await ask(shop.port, path), path).toMatchObject({ status: 200, text: "the page", headers: { "x-a": "b" } });
  }
  expect((await ask(shop.port, "/orders/7")).headers["cache-control"]).toBe("no-cache");
  expect((await ask(shop.port, "/app.0123456789ab.js")).headers["cache-control"]).toContain("immutable");
  // A script of an old page that is gone must not become a page that browsers keep.
  expect((await ask(shop.port, "/app.ba9876543210.js")).status).toBe(404);
  for (const path of ["/api/orders", "/admin/"]) expect(seen(await ask(shop.port, path))).toMatchObject({ url: path });
  shop.file("releases/v1/static/ui/index.html", "below");
  await shop.serve({ static: [{ ...entry, url: "/ui/", except: ["/ui/api/"] }] }, [instance]);
  const below = await Promise.all(["/ui/x/y", "/ui/api/x", "/x"].map((path) => ask(shop.port, path)));
  expect(below.map(({ text }) => text)).toEqual(["below", "app", "app"]);
});

test("shared[].internal: only the app's X-Accel-Redirect leads to the files", async () => {
  const shop = await siteHost();
  shop.file("shared/invoices/7.pdf", "invoice");
  const instance = await backend(({ url }, response) => {
    if (url === "/mine") response.setHeader("X-Accel-Redirect", "/invoices/7.pdf");
    response.end("app");
  });
  await shop.serve({ shared: [{ url: "/invoices/", from: "invoices", internal: true }] }, [instance]);
  expect((await ask(shop.port, "/mine")).text).toBe("invoice");
  expect((await ask(shop.port, "/invoices/7.pdf")).status).toBe(404);
});

test("access: a password, addresses, or one of both; and ACME's answers for everybody", async () => {
  const shop = await siteHost();
  const file = join(shop.dir, "shop.htpasswd");
  const acme = join(shop.dir, "acme");
  const listen = [`127.0.0.1:${shop.port}`];
  shop.file("../../../acme/.well-known/acme-challenge/token", "answer");
  const allow = (access: object) => shop.allow({ listen, acme_challenge: acme, access });
  allow({ password_file: file });
  await expect(shop.privileged.checkSite("shop", testConfig())).rejects.toMatchObject({
    code: "host_settings_invalid",
    fix: expect.stringContaining("htpasswd -c"),
  });
  writeFileSync(file, `me:${execFileSync("openssl", ["passwd", "-apr1", "secret"], { encoding: "utf8" })}`);
  const instance = await backend(saying("v1"));
  const known = { authorization: `Basic ${Buffer.from("me:secret").toString("base64")}` };
  const statuses = async () => {
    const asked = [{ from: "127.4.4.4" }, { from: "127.4.4.4", headers: known }, { from: "127.5.5.5" }];
    const more = { from: "127.5.5.5", headers: known };
    return Promise.all([...asked, more].map(async (each) => (await ask(shop.port, "/", each)).status));
  };
  await shop.serve({}, [instance]);
  expect(await statuses()).toEqual([401, 200, 401, 200]);
  expect((await ask(shop.port)).headers["www-authenticate"]).toBe('Basic realm="Restricted"');
  allow({ password_file: file, allow: ["127.4.0.0/16"], satisfy: "any" });
  await shop.serve({}, [instance]);
  expect(await statuses()).toEqual([200, 200, 401, 200]);
  allow({ password_file: file, allow: ["127.4.0.0/16"] });
  await shop.serve({}, [instance]);
  expect(await statuses()).toEqual([401, 200, 403, 403]);
  allow({ deny: ["127.4.4.4"] });
  await shop.serve({}, [instance]);
  expect(await statuses()).toEqual([403, 403, 200, 200]);
  expect((await ask(shop.port, "/.well-known/acme-challenge/token", { from: "127.4.4.4" })).text).toBe("answer");
});

test.runIf(process.geteuid?.() === 0)(
  "access: a password file that others than root can replace is refused, since a pipe there would stop nginx",
  async () => {
    const shop = await siteHost();
    const home = join(shop.dir, "home");
    const listen = [`127.0.0.1:${shop.port}`];
    const refusedAt = async (file: string) => {
      shop.allow({ listen, user: "nobody", access: { password_file: file } });
      return shop.privileged.checkSite("shop", testConfig()).then(
        () => undefined,
        ({ code, message }) => ({ code, at: / may change (\S+), and put a pipe at /.exec(message)?.[1] }),
      );
    };
    const ofOwner = join(shop.dir, "root.htpasswd");
    writeFileSync(ofOwner, "");
    expect(await refusedAt(ofOwner)).toBeUndefined();
    execFileSync("sh", [
      "-c",
      'mkdir "$0" && touch "$0/htpasswd" && ln -s "$1" "$0/link" && chown nobody "$0"',
      home,
      ofOwner,
    ]);
    for (const name of ["htpasswd", "link"]) {
      expect(await refusedAt(join(home, name))).toEqual({ code: "host_settings_invalid", at: home });
    }
    symlinkSync(join(home, "htpasswd"), join(shop.dir, "by-root"));
    expect(await refusedAt(join(shop.dir, "by-root"))).toEqual({ code: "host_settings_invalid", at: home });
    // What all may write to: each entry is its owner's to replace.
    execFileSync("chown", ["nobody", ofOwner]);
    expect(await refusedAt(ofOwner)).toBeUndefined();
    chmodSync(shop.dir, 0o1777);
    expect(await refusedAt(ofOwner)).toEqual({ code: "host_settings_invalid", at: ofOwner });
  },
);

test("limit_req: too many requests of one address get 429, and others and files do not notice", async () => {
  const shop = await siteHost();
  shop.file("releases/v1/static/static/a.txt", "file");
  shop.link("current", "v1");
  const parts = { static: [{ url: "/static/", from: "s" }], site: { limit_req: { rate: "1r/m", burst: 2 } } };
  await shop.serve(parts, [await backend(saying("v1"))]);
  const statuses: number[] = [];
  for (let count = 0; count < 5; count++) statuses.push((await ask(shop.port, "/", { from: "127.4.4.4" })).status);
  expect(statuses).toEqual([200, 200, 200, 429, 429]);
  expect((await ask(shop.port, "/static/a.txt", { from: "127.4.4.4" })).text).toBe("file");
  expect((await ask(shop.port, "/", { from: "127.5.5.5" })).status).toBe(200);
  // Another rate is read at a reload.
  await shop.serve({ ...parts, site: { limit_req: { rate: "600r/s", burst: 0 } } }, [await backend(saying("v2"))]);
  expect((await ask(shop.port, "/", { from: "127.6.6.6" })).status).toBe(200);
});

test("hsts: by https alone, once, in nginx's word; and nginx does not say its version", async () => {
  const shop = await siteHost({ agent: () => ({ trusted_proxies: ["127.0.9.9"] }) });
  const instance = await backend((_, response) => {
    response.setHeader("Strict-Transport-Security", "max-age=1");
    response.end("v1");
  });
  await shop.serve({ site: { hsts: { max_age: "365d", include_subdomains: true, preload: true } } }, [instance]);
  const plain = await ask(shop.port);
  expect(plain.headers).not.toHaveProperty("strict-transport-security");
  expect(plain.headers.server).toBe("nginx");
  const secure = await ask(shop.port, "/", { from: "127.0.9.9", headers: { "x-forwarded-proto": "https" } });
  expect(secure.headers["strict-transport-security"]).toBe("max-age=31536000; includeSubDomains; preload");
});

test("access_log: each line says which release answered, by which slot, in what time; also as JSON", async () => {
  const shop = await siteHost();
  const run = (release: string) => join(shop.home, "run", `${release}.1`, "web-0.sock");
  const [v1, v2] = ["20261121T103000Z-3f2c1ab", "20261122T103000Z-aaaaaaa"];
  shop.file(`run/${v1}.1/x`, "");
  shop.file(`run/${v2}.1/x`, "");
  shop.file(`releases/${v1}/static/static/a.txt`, "file");
  shop.link("current", v1);
  const [one, two] = [await backend(saying("v1"), run(v1)), await backend(saying("v2"), run(v2))];
  const parts = { static: [{ url: "/static/", from: "s" }] };
  await shop.serve(parts, [one]);
  await ask(shop.port, "/first");
  await shop.serve(parts, [two]);
  await ask(shop.port, "/second");
  await ask(shop.port, "/static/a.txt");
  const log = () => readFileSync(shop.log("cutover-shop.access.log"), "utf8");
  await eventually(async () => log().includes("a.txt"));
  expect(log()).toMatch(
    new RegExp(
      `"GET /first HTTP/1.1" 200 .* release="${v1}" upstream="unix:/\\S+/slots/\\d\\d" time=0\\.\\d+ upstream_time="0`,
    ),
  );
  expect(log()).toMatch(new RegExp(`"GET /second HTTP/1.1" 200 .* release="${v2}"`));
  expect(log()).toMatch(new RegExp(`"GET /static/a.txt HTTP/1.1" 200 .* release="${v1}" upstream="-"`));
  await shop.serve({ ...parts, site: { access_log: "json" } }, [two]);
  await ask(shop.port, '/third"\\', { headers: { "user-agent": 'a"b' } });
  await eventually(async () => log().includes("third"));
  expect(JSON.parse(log().trim().split("\n").at(-1) ?? "")).toMatchObject({
    ...{
      method: "GET",
      status: "200",
      release: v2,
      agent: 'a"b',
      upstream_status: "200",
      time_taken: expect.any(Number),
    },
  });
  await shop.serve({ ...parts, site: { access_log: "combined" } }, [two]);
  await ask(shop.port, "/fourth");
  await eventually(async () => log().includes("fourth"));
  expect(log().trim().split("\n").at(-1)).toMatch(/"-" "-"$/);
});

test("drain_path: a load balancer is told while the site is closed, and by 200 that the host takes visitors", async () => {
  const shop = await siteHost();
  shop.allow({ drain_path: "/balancer", access: { deny: ["127.0.0.1"] } });
  await shop.serve({}, [await backend(saying("v1"))]);
  expect(await ask(shop.port, "/balancer")).toMatchObject({ status: 200, text: "takes visitors\n" });
  const files = new MaintenanceFiles(shop.settings.data);
  await files.begin("shop", ["127.0.0.1"]);
  expect((await ask(shop.port, "/balancer")).status).toBe(503);
  await files.end("shop");
  expect((await ask(shop.port, "/balancer")).status).toBe(200);
});

test("drain on: the load balancer hears that the host leaves, and visitors who come are served", async () => {
  const shop = await siteHost();
  shop.allow({ drain_path: "/balancer" });
  await shop.serve({}, [await backend(saying("v1"))]);
  const leaves = join(shop.dir, "etc/leaves");
  writeFileSync(leaves, "");
  expect(await ask(shop.port, "/balancer")).toMatchObject({ status: 503, text: "leaves\n" });
  expect(await ask(shop.port)).toMatchObject({ status: 200, text: "v1" });
  rmSync(leaves);
  expect((await ask(shop.port, "/balancer")).status).toBe(200);
});
