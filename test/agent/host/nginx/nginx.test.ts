import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { appLayout } from "../../../../agent/host/layout.ts";
import { Nginx } from "../../../../agent/host/nginx/nginx.ts";
import { renderSite } from "../../../../agent/host/nginx/nginx-site.ts";
import { Slots } from "../../../../agent/host/nginx/slots.ts";
import { embeddedHost } from "../embedded-host.ts";
import { freePort, scratch, testConfig } from "../scratch.ts";

async function host() {
  const made = await embeddedHost();
  const { binary, conf, conf_dir: confDir } = made.embedded.settings.nginx;
  const nginx = new Nginx({ binary, conf, confDir, timeoutMs: 10_000 });
  return { ...made, nginx, confDir, conf: conf ?? "", file: join(confDir, "cutover-shop.conf") };
}

const answering = (port: number, text: string) => `server { listen 127.0.0.1:${port}; return 200 "${text}"; }\n`;
const ask = async (port: number) =>
  (await fetch(`http://127.0.0.1:${port}/`, { headers: { Connection: "close" } })).text();

test("after a write the new site serves, at the first request; the same text changes nothing", async () => {
  const { nginx, port, confDir, file } = await host();
  for (const text of ["1", "2", "3", "4", "5"]) {
    expect(await nginx.writeSite("shop", answering(port, text))).toEqual({ changed: true });
    expect(await ask(port)).toBe(text);
    expect(await ask(port)).toBe(text);
  }
  expect(await nginx.writeSite("shop", answering(port, "5"))).toEqual({ changed: false });
  expect(readdirSync(confDir)).toEqual(["cutover-shop.conf"]);
  await nginx.removeSite("shop");
  expect(existsSync(file)).toBe(false);
  await expect(ask(port)).rejects.toThrow();
  await nginx.removeSite("shop");
});

test("what nginx refuses is replaced by what was there, and told with file and line", async () => {
  const { nginx, port, confDir, file } = await host();
  await expect(nginx.writeSite("shop", "# a comment\nnonsense on;\n")).rejects.toMatchObject({
    code: "nginx_config_broken",
    message: expect.stringContaining(`unknown directive "nonsense" in ${file}:2`),
    fix: expect.stringContaining(`${file}:2`),
  });
  expect(readdirSync(confDir)).toEqual([]);
  await nginx.writeSite("shop", answering(port, "old"));
  await expect(nginx.writeSite("shop", "server {\n")).rejects.toMatchObject({ code: "nginx_config_broken" });
  expect(readFileSync(file, "utf8")).toBe(answering(port, "old"));
  expect(await ask(port)).toBe("old");
});

test("an address that another program has: the old site stays and serves", async () => {
  const { nginx, port, file } = await host();
  await nginx.writeSite("shop", answering(port, "old"));
  const other = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => other.once("listening", resolve));
  onTestFinished(() => void other.close());
  const address = other.address();
  const taken = typeof address === "object" && address !== null ? address.port : 0;
  await expect(nginx.writeSite("shop", answering(taken, "new"))).rejects.toMatchObject({
    code: "nginx_config_broken",
    message: expect.stringContaining(`127.0.0.1:${taken}`),
    fix: expect.stringContaining("Another program has this address"),
  });
  expect(readFileSync(file, "utf8")).toBe(answering(port, "old"));
  expect(await ask(port)).toBe("old");
});

test("a crash between the write and the reload is made good by the next write of the same text", async () => {
  const { nginx, port, file, confDir } = await host();
  await nginx.writeSite("shop", answering(port, "old"));
  writeFileSync(`${file}.before`, answering(port, "old"));
  writeFileSync(file, answering(port, "new"));
  expect(await nginx.writeSite("shop", answering(port, "new"))).toEqual({ changed: true });
  expect(await ask(port)).toBe("new");
  expect(readdirSync(confDir)).toEqual(["cutover-shop.conf"]);
});

test("an nginx that does not run, does not exist or does not read the directory", async () => {
  const { nginx, port, confDir, embedded, conf } = await host();
  const elsewhere = new Nginx({ binary: embedded.settings.nginx.binary, conf, confDir: scratch() });
  await expect(elsewhere.writeSite("shop", answering(port, "x"))).rejects.toMatchObject({
    code: "nginx_config_broken",
    fix: expect.stringContaining("include"),
  });
  const missing = new Nginx({ binary: "no-such-nginx", conf, confDir });
  await expect(missing.writeSite("shop", answering(port, "x"))).rejects.toMatchObject({ code: "nginx_unreachable" });
  await embedded.stop();
  await expect(nginx.writeSite("shop", answering(port, "x"))).rejects.toMatchObject({ code: "nginx_unreachable" });
  expect(readdirSync(confDir)).toEqual([]);
});

test("real nginx serves the rendered site: slots move without a reload, static files of both releases are found", async () => {
  const { nginx, port, embedded } = await host();
  const { data } = embedded.settings;
  const layout = appLayout(data, "shop");
  const slots = new Slots(data);
  await slots.prepare("shop");
  for (const [link, release, name] of [
    ["current", "r2", "new.css"],
    ["previous", "r1", "old.css"],
  ] as const) {
    await mkdir(join(layout.static(release), "static"), { recursive: true });
    await writeFile(join(layout.static(release), "static", name), name);
    await symlink(`releases/${release}`, join(layout.home, link));
  }
  const config = testConfig({ static: [{ url: "/static/", from: "s", expires: "24h" }], site: { balance: "ip_hash" } });
  const listen = [`127.0.0.1:${port}`];
  await nginx.writeSite("shop", renderSite({ app: "shop", layout, listen, serverNames: [], config }));
  expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(502);
  for (const run of ["a", "b"]) {
    await mkdir(layout.runDir(run), { recursive: true });
    const socket = join(layout.runDir(run), "web-0.sock");
    const server = createServer(({ headers }, response) => response.end(`${run} ${headers.host}`)).listen(socket);
    onTestFinished(() => void server.close());
    await new Promise((resolve) => server.once("listening", resolve));
    await slots.assign("shop", [{ run, slots: 60, instances: [{ name: "web-0", socket }] }]);
    expect(await ask(port)).toBe(`${run} 127.0.0.1:${port}`);
  }
  const css = await fetch(`http://127.0.0.1:${port}/static/new.css`);
  expect([css.status, css.headers.get("content-type"), css.headers.get("cache-control")]).toEqual([
    ...[200, "text/css", "max-age=86400"],
  ]);
  expect(await (await fetch(`http://127.0.0.1:${port}/static/old.css`)).text()).toBe("old.css");
  expect((await fetch(`http://127.0.0.1:${port}/static/none.css`)).status).toBe(404);
  expect((await fetch(`http://127.0.0.1:${port}/static/..%2f..%2f..%2fstate.json`)).status).toBe(400);
});

test("sites that are written at the same time do not spoil each other", async () => {
  const { nginx, port, confDir } = await host();
  const second = await freePort();
  const results = await Promise.allSettled([
    nginx.writeSite("bad", "nonsense;"),
    nginx.writeSite("shop", answering(port, "shop")),
    nginx.writeSite("blog", answering(second, "blog")),
  ]);
  expect(results.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "fulfilled"]);
  expect([await ask(port), await ask(second)]).toEqual(["shop", "blog"]);
  expect(readdirSync(confDir).toSorted()).toEqual(["cutover-blog.conf", "cutover-shop.conf"]);
});
