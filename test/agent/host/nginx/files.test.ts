import { execFileSync } from "node:child_process";
import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { MaintenanceFiles } from "../../../../agent/host/nginx/maintenance.ts";
import { scratch, testConfig } from "../scratch.ts";
import { ask, backend, nginxProgram, nobody, saying, siteHost } from "./site-host.ts";

test("what the host's nginx remembers of files does not outlive a cutover or hide maintenance", async () => {
  const host = await siteHost({ conf: (text) => text.replace("http {", "http {\nopen_file_cache max=100;\n") });
  for (const release of ["old", "new"]) host.file(`releases/${release}/static/static/a.css`, release);
  await host.serve({ static: [{ url: "/static/", from: "s" }] }, [await backend(saying("v1"))]);
  for (const release of ["old", "new"]) {
    host.link("current", release);
    for (let n = 0; n < 5; n++) expect((await ask(host.port, "/static/a.css")).text).toBe(release);
  }
  const maintenance = new MaintenanceFiles(host.settings.data);
  for (let n = 0; n < 5; n++) expect((await ask(host.port)).status).toBe(200);
  await maintenance.begin("shop", []);
  for (let n = 0; n < 5; n++) expect((await ask(host.port)).status).toBe(503);
  await maintenance.end("shop");
  for (let n = 0; n < 5; n++) expect((await ask(host.port)).status).toBe(200);
});

test("static: files of the live release, the canary's, the one before; hashed names are for good", async () => {
  const host = await siteHost();
  for (const [release, name] of [
    ["new", "new.css"],
    ["canary", "canary.css"],
    ["old", "old.css"],
  ] as const) {
    host.file(`releases/${release}/static/static/${name}`, name);
    host.file(`releases/${release}/static/static/all.css`, release);
    host.file(`releases/${release}/static/static/${release}.0123456789ab.js`, release);
    host.file(`releases/${release}/static/plain/a.0123456789ab.js`, release);
  }
  host.link("current", "new");
  host.link("canary", "canary");
  host.link("previous", "old");
  const parts = [
    { url: "/static/", from: "s", expires: "24h" },
    { url: "/plain/", from: "p", immutable: false },
  ];
  await host.serve({ static: parts }, [nobody()]);
  for (const [path, text] of [
    ["new.css", "new.css"],
    ["canary.css", "canary.css"],
    ["old.css", "old.css"],
    ["all.css", "new"],
  ]) {
    const answer = await ask(host.port, `/static/${path}`);
    expect([answer.status, answer.text, answer.headers["cache-control"]]).toEqual([200, text, "max-age=86400"]);
  }
  for (const release of ["new", "canary", "old"]) {
    const { status, text, headers } = await ask(host.port, `/static/${release}.0123456789ab.js`);
    expect([status, text, headers["cache-control"]]).toEqual([200, release, "public, max-age=31536000, immutable"]);
    expect(headers.expires).toBeUndefined();
  }
  const missing = await ask(host.port, "/static/none.0123456789ab.js");
  expect([missing.status, missing.headers["cache-control"]]).toEqual([404, undefined]);
  expect((await ask(host.port, "/plain/a.0123456789ab.js")).headers["cache-control"]).toBeUndefined();
  for (const path of ["/static/..%2f..%2f..%2fstate.json", "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/state.json"]) {
    expect((await ask(host.port, path)).status).toBe(400);
  }
});

test.each(["app.0123456789ab.css", "0123456789ab.css", "app-0123456789abcdef.js.map", "a_0123456789ab.woff2"])(
  "%s counts as hashed",
  async (name) => {
    const host = await siteHost();
    host.file(`releases/a/static/static/${name}`, "a");
    host.link("current", "a");
    await host.serve({ static: [{ url: "/static/", from: "s" }] }, [nobody()]);
    expect((await ask(host.port, `/static/${name}`)).headers["cache-control"]).toContain("immutable");
  },
);

test("names that only look hashed are not immutable", async () => {
  const host = await siteHost();
  const names = [
    "app.0123456789a.css",
    "app.0123456789AB.css",
    "app.0123456789abz.css",
    "0123456789ab",
    "x0123456789ab.js",
  ];
  for (const name of names) host.file(`releases/a/static/static/${name}`, "a");
  host.link("current", "a");
  await host.serve({ static: [{ url: "/static/", from: "s" }] }, [nobody()]);
  for (const name of names) {
    const { status, headers } = await ask(host.port, `/static/${name}`);
    expect([name, status, headers["cache-control"]]).toEqual([name, 200, undefined]);
  }
});

test("gzip_static: the compressed file beside it, for who takes it, out of the same release", async () => {
  const host = await siteHost();
  host.file("releases/a/static/static/app.css", "plain");
  host.file("releases/a/static/static/app.css.gz", gzipSync("zipped"));
  host.file("releases/a/static/static/app.0123456789ab.js", "plain");
  host.file("releases/a/static/static/app.0123456789ab.js.gz", gzipSync("zipped"));
  host.link("current", "a");
  const headers = { "accept-encoding": "gzip" };
  for (const wanted of [true, false]) {
    await host.serve({ static: [{ url: "/static/", from: "s", gzip_static: wanted }] }, [nobody()]);
    for (const [path, type] of [
      ["/static/app.css", "text/css"],
      ["/static/app.0123456789ab.js", "text/javascript"],
    ] as const) {
      const answer = await ask(host.port, path, { headers });
      expect(answer.headers["content-type"]).toBe(type);
      if (wanted) expect(gunzipSync(answer.body).toString()).toBe("zipped");
      else expect(answer.text).toBe("plain");
      expect((await ask(host.port, path)).text).toBe("plain");
    }
  }
});

test("gzip_static is refused, before anything is unpacked, where nginx was built without it", async () => {
  const binary = join(scratch(), "nginx");
  writeFileSync(
    binary,
    `#!/bin/sh\nif [ "$1" = -V ]; then echo "nginx version: nginx/1.22.1" >&2; exit; fi\nexec ${nginxProgram()} "$@"\n`,
    { mode: 0o755 },
  );
  const host = await siteHost({ nginx: { binary } });
  const files = { url: "/static/", from: "s" };
  await host.privileged.checkSite("shop", testConfig({ static: [files] }));
  const asking = testConfig({ static: [{ ...files, gzip_static: true }] });
  await expect(host.privileged.checkSite("shop", asking)).rejects.toMatchObject({
    code: "config_invalid",
    fix: expect.stringContaining("--with-http_gzip_static_module"),
  });
  expect(await host.serve({ static: [files] }, [nobody()])).toEqual({ reloaded: true });
});

test("shared: files that outlive releases, and nothing beside them", async () => {
  const host = await siteHost();
  host.file("shared/up loads/a.txt", "uploaded");
  host.file("shared/db.sqlite3", "secret");
  host.file("state.json", "secret");
  await host.serve({ shared: [{ url: "/media/", from: "up loads", expires: "1h" }] }, [await backend(saying("app"))]);
  const answer = await ask(host.port, "/media/a.txt");
  expect([answer.status, answer.text, answer.headers["cache-control"]]).toEqual([200, "uploaded", "max-age=3600"]);
  expect((await ask(host.port, "/media/")).status).toBe(403);
  expect((await ask(host.port, "/media/none.txt")).status).toBe(404);
  for (const path of [
    "/media/..%2fdb.sqlite3",
    "/media/%2e%2e/db.sqlite3",
    "/media../db.sqlite3",
    "/media/../db.sqlite3",
  ]) {
    expect((await ask(host.port, path)).text).not.toContain("secret");
  }
});

test.runIf(process.geteuid?.() === 0)("shared: a symlink leads only to what its own owner has", async () => {
  const host = await siteHost();
  host.file("shared/media/own.txt", "own");
  host.file("secret.txt", "secret");
  const media = join(host.home, "shared", "media");
  symlinkSync("own.txt", join(media, "good"));
  symlinkSync("../../secret.txt", join(media, "bad"));
  execFileSync("chown", ["-R", "-h", "65534", join(host.home, "shared")]);
  await host.serve({ shared: [{ url: "/media/", from: "media" }] }, [nobody()]);
  expect((await ask(host.port, "/media/good")).text).toBe("own");
  expect((await ask(host.port, "/media/bad")).status).toBe(403);
});

test.each([`it's "so"; } # {`, "100% %2e ~ * ?", "ümläut (1) [2] | & >"])(
  "a folder and a page whose name is %j are found by exactly this name",
  async (name) => {
    const host = await siteHost();
    host.file(`shared/${name}/a.txt`, "uploaded");
    host.file(`releases/a/app/${name}/50x.html`, "<h1>ours</h1>");
    host.link("current", "a");
    const site = { error_page: `${name}/50x.html` };
    await host.serve({ shared: [{ url: "/media/", from: name }], site }, [nobody()]);
    expect((await ask(host.port, "/media/a.txt")).text).toBe("uploaded");
    expect((await ask(host.port)).text).toBe("<h1>ours</h1>");
  },
);

test("while nothing answers there is a page, and the status stays", async () => {
  const host = await siteHost();
  await host.serve({}, [nobody()]);
  for (const [method, path] of [
    ["GET", "/"],
    ["POST", "/form"],
    ["GET", "/app.css"],
  ] as const) {
    const answer = await ask(host.port, path, { method });
    expect([answer.status, answer.headers["content-type"], answer.headers["retry-after"]]).toEqual([
      502,
      "text/html",
      "30",
    ]);
    expect(answer.text).toContain("<h1>Not available</h1>");
  }
});

test("error_page: a file of the live release, for every method; without the file cutover's own page", async () => {
  const host = await siteHost();
  host.file("releases/a/app/errors/it's 50x.html", "<h1>ours</h1>");
  host.link("current", "a");
  const silent = await backend(() => undefined);
  const site = { error_page: "errors/it's 50x.html", proxy_read_timeout: "50ms" };
  for (const [instances, status] of [
    [[nobody()], 502],
    [[silent], 504],
  ] as const) {
    await host.serve({ site }, [...instances]);
    for (const method of ["GET", "POST", "DELETE"]) {
      const answer = await ask(host.port, "/", { method });
      expect([answer.status, answer.text, answer.headers["content-type"]]).toEqual([
        status,
        "<h1>ours</h1>",
        "text/html",
      ]);
      expect(answer.headers["retry-after"]).toBe("30");
    }
  }
  expect((await ask(host.port, "/cutover-unavailable")).status).toBe(404);
  host.link("current", "none");
  const own = await ask(host.port, "/", { method: "POST" });
  expect([own.status, own.text]).toEqual([504, expect.stringContaining("Not available")]);
});

test("proxy_intercept_errors: the page replaces the app's own 500 and above, and nothing below", async () => {
  const host = await siteHost();
  const instance = await backend(({ url }, response) => {
    response.writeHead(Number(url?.slice(1)));
    response.end("a traceback");
  });
  for (const [intercept, text] of [
    [false, "a traceback"],
    [true, "Not available"],
  ] as const) {
    await host.serve({ site: { proxy_intercept_errors: intercept } }, [instance]);
    for (const status of [500, 503]) {
      const answer = await ask(host.port, `/${status}`);
      expect([answer.status, answer.text]).toEqual([status, expect.stringContaining(text)]);
    }
    expect(await ask(host.port, "/404")).toMatchObject({ status: 404, text: "a traceback" });
  }
});

test("C20: files where the host answers ACME are refused before anything is unpacked; a folder above is not", async () => {
  const host = await siteHost();
  const webroot = join(host.dir, "acme");
  host.file("../../../acme/.well-known/acme-challenge/token", "answer");
  host.allow({ acme_challenge: webroot });
  const asking = (url: string) => ({ static: [{ url, from: "s" }] });
  for (const below of ["", "v1/"]) {
    const url = `/.well-known/acme-challenge/${below}`;
    for (const parts of [asking(url), { shared: [{ url, from: "s" }] }]) {
      await expect(host.privileged.checkSite("shop", testConfig(parts))).rejects.toMatchObject({
        code: "config_invalid",
        message: expect.stringContaining(url),
      });
    }
  }
  await host.privileged.checkSite("shop", testConfig(asking("/.well-known/")));
  host.file("releases/a/static/.well-known/security.txt", "text");
  host.link("current", "a");
  await host.serve(asking("/.well-known/"), [nobody()]);
  const texts = ["security.txt", "acme-challenge/token"].map(
    async (path) => (await ask(host.port, `/.well-known/${path}`)).text,
  );
  expect(await Promise.all(texts)).toEqual(["text", "answer"]);
  host.allow();
  await host.privileged.checkSite("shop", testConfig(asking("/.well-known/acme-challenge/")));
});
