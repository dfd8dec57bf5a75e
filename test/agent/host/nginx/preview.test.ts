import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { eventually, freePort, testConfig } from "../scratch.ts";
import { ask, backend, saying, siteHost, uwsgiBackend } from "./site-host.ts";

test("preview.listen: the staged release on an address of its own, with its own files and logs", async () => {
  const host = await siteHost();
  const port = await freePort();
  const [address, static_] = [`127.0.0.1:${port}`, [{ url: "/static/", from: "s" }]];
  host.allow({ preview: [address] });
  for (const release of ["live", "next"]) host.file(`releases/${release}/static/static/a.css`, release);
  host.file("releases/live/static/static/b.css", "live");
  host.link("current", "live");
  host.link("staged", "next");
  const [live, next] = [await backend(saying("live")), await backend(saying("next"))];
  const parts = { static: static_, site: { preview: { listen: address } } };
  await host.serve(parts, [live], { parts, instances: [next] });
  for (const [at, text] of [
    [host.port, "live"],
    [port, "next"],
  ] as const) {
    expect((await ask(at)).text).toBe(text);
    expect((await ask(at, "/static/a.css")).text).toBe(text);
    expect((await ask(at, "/static/b.css")).text).toBe("live");
  }
  await eventually(async () => readFileSync(host.log("cutover-shop.preview.access.log"), "utf8").includes("GET / "));
  // Once nothing is staged it shows what is live, without a reload.
  expect(await host.serve(parts, [live], { parts, instances: [live] })).toEqual({ reloaded: false });
  expect((await ask(port)).text).toBe("live");
  await host.serve({ static: static_ }, [live]);
  await expect(ask(port)).rejects.toThrow();
});

test("a preview is there before the first release has traffic", async () => {
  const host = await siteHost();
  const port = await freePort();
  host.allow({ preview: [port] });
  const instance = await backend(saying("next"));
  const config = testConfig({ site: { preview: { listen: port } } });
  const preview = { config, shares: [{ run: "r", instances: [instance], slots: 60 }] };
  await host.traffic.route("shop", { main: null, preview });
  expect((await ask(port)).text).toBe("next");
  await expect(ask(host.port)).rejects.toThrow();
});

test("an address of a preview that something else has: everything is as it was", async () => {
  const host = await siteHost();
  const other = createServer((_, response) => response.end("other")).listen(0, "127.0.0.1");
  await new Promise((resolve) => other.once("listening", resolve));
  onTestFinished(() => void other.close());
  const taken = `127.0.0.1:${(other.address() as AddressInfo).port}`;
  host.allow({ preview: [taken] });
  const [live, next] = [await backend(saying("live")), await backend(saying("next"))];
  await host.serve({}, [live]);
  const { conf_dir: confDir } = host.settings.nginx;
  const files = ["cutover-shop.conf", "cutover-shop.upstream.conf"].map((name) => join(confDir, name));
  const before = files.map((file) => readFileSync(file, "utf8"));
  const parts = { site: { preview: { listen: taken } } };
  await expect(host.serve(parts, [next], { parts, instances: [next] })).rejects.toMatchObject({
    code: "nginx_config_broken",
    message: expect.stringContaining(taken),
  });
  expect(files.map((file) => readFileSync(file, "utf8"))).toEqual(before);
  expect((await ask(host.port)).text).toBe("live");
});

test("preview by cookie and by header, on the site's own address, exactly by its value", async () => {
  const host = await siteHost();
  for (const release of ["live", "next"]) host.file(`releases/${release}/static/static/a.css`, release);
  host.link("current", "live");
  host.link("staged", "next");
  const [live, next] = [await backend(saying("live")), await backend(saying("next"))];
  const asked = async (headers: Record<string, string>): Promise<string> => {
    const [page, file] = [await ask(host.port, "/", { headers }), await ask(host.port, "/static/a.css", { headers })];
    expect(file.text).toBe(page.text);
    return page.text;
  };
  const served = [{ url: "/static/", from: "s" }];
  for (const preview of [
    { cookie: "preview=Blue" },
    { header: "X-Preview: Blue" },
    { cookie: "preview=Blue", header: "X-Preview: Blue" },
  ]) {
    const parts = { static: served, site: { preview } };
    await host.serve(parts, [live], { parts, instances: [next] });
    expect(await asked({})).toBe("live");
    expect(await asked({ cookie: "a=b; preview=Blue; c=d" })).toBe("cookie" in preview ? "next" : "live");
    expect(await asked({ "x-preview": "Blue" })).toBe("header" in preview ? "next" : "live");
    for (const value of ["blue", "Blues", "xBlue", "Blue:", "default"]) {
      expect(await asked({ cookie: `preview=${value}`, "x-preview": value })).toBe("live");
    }
  }
});

test("a staged release of another protocol is not shown on the site's own address", async () => {
  const host = await siteHost();
  const preview = { cookie: "preview=blue" };
  const staged = { server: { kind: "uwsgi", app: "shop:app" }, site: { preview } };
  await host.serve({ site: { preview } }, [await backend(saying("live"))], {
    parts: staged,
    instances: [await uwsgiBackend()],
  });
  expect((await ask(host.port, "/", { headers: { cookie: "preview=blue" } })).text).toBe("live");
});
