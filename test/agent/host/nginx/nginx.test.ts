import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../../../agent/host/clock.ts";
import { processRuns, readPidFile } from "../../../../agent/host/exec/processes.ts";
import { Nginx } from "../../../../agent/host/nginx/nginx.ts";
import { eventually, freePort, scratch } from "../scratch.ts";
import { ask, backend, nginxProgram, saying, siteHost } from "./site-host.ts";

async function host() {
  const made = await siteHost();
  const { binary, conf, conf_dir: confDir } = made.settings.nginx;
  const nginx = new Nginx({ binary, conf, confDir, timeoutMs: 10_000 });
  return { ...made, nginx, confDir, conf: conf ?? "", file: join(confDir, name) };
}

const name = "cutover-shop.conf";
const second = "cutover-shop.upstream.conf";
const answering = (port: number, text: string) => `server { listen 127.0.0.1:${port}; return 200 "${text}"; }\n`;
const one = (text: string | undefined) => [{ name, text }];
const said = async (port: number) => (await ask(port)).text;

test("after a write the new site serves, at the first request; the same text changes nothing", async () => {
  const { nginx, port, confDir, file } = await host();
  for (const text of ["1", "2", "3", "4", "5"]) {
    expect(await nginx.write(one(answering(port, text)))).toEqual({ changed: true });
    expect([await said(port), await said(port)]).toEqual([text, text]);
  }
  expect(await nginx.write(one(answering(port, "5")))).toEqual({ changed: false });
  expect(readdirSync(confDir)).toEqual([name]);
  await nginx.remove([name]);
  expect(existsSync(file)).toBe(false);
  await expect(ask(port)).rejects.toThrow();
  await nginx.remove([name]);
});

test("what nginx refuses is replaced by what was there, and told with file and line", async () => {
  const { nginx, port, confDir, file } = await host();
  await expect(nginx.write(one("# a comment\nnonsense on;\n"))).rejects.toMatchObject({
    code: "nginx_config_broken",
    message: expect.stringContaining(`unknown directive "nonsense" in ${file}:2`),
    fix: expect.stringContaining(`${file}:2`),
  });
  expect(readdirSync(confDir)).toEqual([]);
  await nginx.write(one(answering(port, "old")));
  await expect(nginx.write(one("server {\n"))).rejects.toMatchObject({ code: "nginx_config_broken" });
  expect(readFileSync(file, "utf8")).toBe(answering(port, "old"));
  expect(await said(port)).toBe("old");
});

test("of two files both are written, or none: one changed, one new, one taken away", async () => {
  const { nginx, port, confDir } = await host();
  const upstream = (to: string) => `upstream shop { server 127.0.0.1:1; }\n# ${to}\n`;
  await nginx.write([...one(answering(port, "old")), { name: second, text: undefined }]);
  const broken = { name: second, text: `${upstream("x")}nonsense;\n` };
  await expect(nginx.write([...one(answering(port, "new")), broken])).rejects.toMatchObject({
    message: expect.stringContaining(`${join(confDir, second)}:3`),
  });
  expect(readdirSync(confDir)).toEqual([name]);
  expect([await said(port), readFileSync(join(confDir, name), "utf8")]).toEqual(["old", answering(port, "old")]);

  await nginx.write([...one(answering(port, "old")), { name: second, text: upstream("a") }]);
  await expect(nginx.write([...one(undefined), { ...broken }])).rejects.toMatchObject({ code: "nginx_config_broken" });
  expect(readdirSync(confDir).toSorted()).toEqual([name, second]);
  expect(readFileSync(join(confDir, second), "utf8")).toBe(upstream("a"));
  expect(await nginx.write([...one(undefined), { name: second, text: upstream("b") }])).toEqual({ changed: true });
  expect(readdirSync(confDir)).toEqual([second]);
});

test("a file that somebody else broke: nothing changes, and its place is named", async () => {
  const { nginx, port, confDir } = await host();
  await nginx.write([...one(answering(port, "old")), { name: second, text: "# one\n" }]);
  const theirs = join(confDir, "theirs.conf");
  writeFileSync(theirs, "\n\nnonsense;\n");
  await expect(nginx.write([...one(answering(port, "new")), { name: second, text: "# two\n" }])).rejects.toMatchObject({
    code: "nginx_config_broken",
    message: expect.stringContaining(`${theirs}:3`),
    unchanged: expect.stringContaining("was not changed"),
    fix: expect.stringContaining(`${theirs}:3`),
  });
  expect(readFileSync(join(confDir, name), "utf8")).toBe(answering(port, "old"));
  expect(readFileSync(join(confDir, second), "utf8")).toBe("# one\n");
  expect(readFileSync(theirs, "utf8")).toBe("\n\nnonsense;\n");
  expect(readdirSync(confDir).toSorted()).toEqual([name, second, "theirs.conf"]);
  expect(await said(port)).toBe("old");
});

test("a name that is too long for nginx's table: the fix has the directive, and nginx takes it", async () => {
  const { nginx, port, conf } = await host();
  const long = `${"a".repeat(60)}.example.com`;
  const server = (each: string) => `server { listen 127.0.0.1:${port}; server_name ${each}; return 200 "${each}"; }\n`;
  const text = `${server(long)}${server("b.example.com")}`;
  const refused = await nginx.write(one(text)).catch((thrown: unknown) => thrown);
  expect(refused).toMatchObject({ code: "nginx_config_broken" });
  const [, directive = ""] = /`(server_names_hash_bucket_size \d+;)`/.exec((refused as { fix: string }).fix) ?? [];
  writeFileSync(conf, readFileSync(conf, "utf8").replace("http {", `http {\n${directive}`));
  expect(await nginx.write(one(text))).toEqual({ changed: true });
});

test("an address that another program has: the old site stays and serves", async () => {
  const { nginx, port, file } = await host();
  await nginx.write(one(answering(port, "old")));
  const other = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => other.once("listening", resolve));
  onTestFinished(() => void other.close());
  const taken = (other.address() as AddressInfo).port;
  await expect(nginx.write(one(answering(taken, "new")))).rejects.toMatchObject({
    code: "nginx_config_broken",
    message: expect.stringContaining(`127.0.0.1:${taken}`),
    fix: expect.stringContaining("Another program listens on this address"),
  });
  expect(readFileSync(file, "utf8")).toBe(answering(port, "old"));
  expect(await said(port)).toBe("old");
});

test("what goes wrong after nginx was told: it reads the old site again, before anybody counts on that", async () => {
  const { conf, confDir, nginx, port, file } = await host();
  await nginx.write(one(answering(port, "old")));
  let failing = true;
  const sleep = async () => {
    await setTimeout(300);
    if (failing) throw Object.assign(new Error("EMFILE: too many open files"), { code: "EMFILE" });
  };
  const failingOnce = async () => {
    await sleep().finally(() => {
      failing = false;
    });
  };
  const clock = { ...systemClock, sleep: failingOnce };
  const unlucky = new Nginx({ binary: nginxProgram(), conf, confDir, clock });
  await expect(unlucky.write(one(answering(port, "new")))).rejects.toThrow("EMFILE");
  expect(readFileSync(file, "utf8")).toBe(answering(port, "old"));
  expect(await said(port)).toBe("old");
  expect(readdirSync(confDir)).toEqual([name]);
});

test("a crash between the write and the reload is made good by the next write of the same text", async () => {
  const { nginx, port, file, confDir } = await host();
  await nginx.write(one(answering(port, "old")));
  writeFileSync(`${file}.before`, answering(port, "old"));
  writeFileSync(file, answering(port, "new"));
  expect((await nginx.loaded(name)).unread).toBe(true);
  expect(await nginx.write(one(answering(port, "new")))).toEqual({ changed: true });
  expect([await said(port), (await nginx.loaded(name)).unread]).toEqual(["new", false]);
  expect(readdirSync(confDir)).toEqual([name]);
});

test("n51: what a kill left of one app is not in the way of another, and stays if something else is refused", async () => {
  const { nginx, port, confDir } = await host();
  const [site, gone] = [join(confDir, "cutover-blog.conf"), join(confDir, "cutover-docs.conf")];
  const texts = () => [site, gone].map((path) => existsSync(path) && readFileSync(path, "utf8"));
  const before = answering(await freePort(), "blog");
  writeFileSync(`${site}.before`, before);
  writeFileSync(site, "nonsense;\n");
  writeFileSync(`${gone}.before`, "");
  writeFileSync(gone, "# not read yet\n");
  await expect(nginx.write(one("more nonsense;\n"))).rejects.toMatchObject({ message: expect.stringContaining(name) });
  expect(texts()).toEqual(["nonsense;\n", "# not read yet\n"]);
  expect(await nginx.configuration()).toContain(before);
  expect(texts()).toEqual([before, false]);
  expect(await nginx.write(one(answering(port, "new")))).toEqual({ changed: true });
  expect([await said(port), (await nginx.loaded("cutover-blog.conf")).unread]).toEqual(["new", true]);
});

test("a kill on the way back to the old text leaves a mark: nginx may have read the new one in between", async () => {
  const { conf, confDir, nginx, port, file } = await host();
  await nginx.write(one(answering(port, "old")));
  writeFileSync(`${file}.before`, answering(port, "old"));
  writeFileSync(file, answering(port, "new"));
  const clock = { ...systemClock, sleep: () => new Promise<void>(() => undefined) };
  const killed = new Nginx({ binary: nginxProgram(), conf, confDir, clock });
  void killed.write(one(answering(port, "old")));
  await eventually(async () => readFileSync(file, "utf8") === answering(port, "old"));
  expect((await nginx.loaded(name)).unread).toBe(true);
  expect(await nginx.write(one(answering(port, "old")))).toEqual({ changed: true });
  expect([await said(port), (await nginx.loaded(name)).unread]).toEqual(["old", false]);
  expect(readdirSync(confDir)).toEqual([name]);
});

test("an nginx that does not run, does not exist or does not read the directory", async () => {
  const { nginx, port, confDir, conf, dir, settings } = await host();
  const elsewhere = new Nginx({ binary: settings.nginx.binary, conf, confDir: scratch() });
  await expect(elsewhere.write(one(answering(port, "x")))).rejects.toMatchObject({
    code: "nginx_config_broken",
    fix: expect.stringContaining("include"),
  });
  const missing = new Nginx({ binary: "no-such-nginx", conf, confDir });
  await expect(missing.write(one(answering(port, "x")))).rejects.toMatchObject({ code: "nginx_unreachable" });
  await expect(missing.features()).rejects.toMatchObject({ code: "nginx_unreachable" });
  const master = (await readPidFile(join(dir, "nginx.pid"))) ?? 0;
  process.kill(master, "SIGTERM");
  await eventually(async () => !(await processRuns(master)));
  await expect(nginx.write(one(answering(port, "x")))).rejects.toMatchObject({ code: "nginx_unreachable" });
  expect(readdirSync(confDir)).toEqual([]);
});

test("a removal that nginx refuses leaves the site as it was, and the next one removes it", async () => {
  const { nginx, port, confDir } = await host();
  await nginx.write([
    { name, text: answering(port, "old") },
    { name: second, text: "" },
  ]);
  writeFileSync(join(confDir, "theirs.conf"), "nonsense;");
  await expect(nginx.remove([name, second])).rejects.toMatchObject({ code: "nginx_config_broken" });
  expect(readdirSync(confDir).toSorted()).toEqual([name, second, "theirs.conf"]);
  expect(await said(port)).toBe("old");
  rmSync(join(confDir, "theirs.conf"));
  await nginx.remove([name, second]);
  expect(readdirSync(confDir)).toEqual([]);
  await expect(ask(port)).rejects.toThrow();
});

test("a removal needs no nginx that runs", async () => {
  const { nginx, port, confDir, dir } = await host();
  await nginx.write(one(answering(port, "old")));
  const master = (await readPidFile(join(dir, "nginx.pid"))) ?? 0;
  process.kill(master, "SIGTERM");
  await eventually(async () => !(await processRuns(master)));
  await nginx.remove([name]);
  expect(readdirSync(confDir)).toEqual([]);
});

test("sites that are written at the same time do not spoil each other", async () => {
  const { nginx, port, confDir } = await host();
  const other = await freePort();
  const results = await Promise.allSettled([
    nginx.write([{ name: "cutover-bad.conf", text: "nonsense;" }]),
    nginx.write([{ name, text: answering(port, "shop") }]),
    nginx.write([{ name: "cutover-blog.conf", text: answering(other, "blog") }]),
  ]);
  expect(results.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "fulfilled"]);
  expect([await said(port), await said(other)]).toEqual(["shop", "blog"]);
  expect(readdirSync(confDir).toSorted()).toEqual(["cutover-blog.conf", name]);
});

test("C16: a question about nginx waits while another app's file is tried", async () => {
  const { nginx, port } = await host();
  await nginx.write(one(answering(port, "shop")));
  let trying = true;
  const tries = (async () => {
    while (trying) await nginx.write([{ name: "cutover-bad.conf", text: "nonsense;" }]).catch(() => undefined);
  })();
  const answers = new Set<string>();
  for (let n = 0; n < 30; n++) {
    await setTimeout(n % 7);
    const answer = nginx.configuration().then(
      () => "good",
      ({ code }: { code: string }) => code,
    );
    answers.add(await answer);
  }
  trying = false;
  await tries;
  expect(answers).toEqual(new Set(["good"]));
});

test("C16: old workers are found while somebody else's file is broken, also by who never saw it whole", async () => {
  const { nginx, port, confDir, conf } = await host();
  await nginx.write(one(answering(port, "old")));
  const client = connect(port, "127.0.0.1", () => client.write("GET / HTTP/1.1\r\nhost: a"));
  onTestFinished(() => void client.destroy());
  await setTimeout(100);
  await nginx.write(one(answering(port, "new")));
  writeFileSync(join(confDir, "theirs.conf"), "nonsense;");
  const fresh = () => new Nginx({ binary: nginxProgram(), conf, confDir });
  expect([await nginx.oldWorkers(), await fresh().oldWorkers()]).toEqual([true, true]);
  client.destroy();
  await eventually(async () => !(await nginx.oldWorkers()));
  expect(await fresh().oldWorkers()).toBe(false);
});

test("another binary with a prefix of its own, as OpenResty is: relative paths, and a directory behind a link", async () => {
  const prefix = scratch();
  const [binary, confDir] = [join(prefix, "openresty"), join(prefix, "linked")];
  symlinkSync(nginxProgram(), binary);
  mkdirSync(join(prefix, "sites"));
  mkdirSync(join(prefix, "logs"));
  symlinkSync("sites", confDir);
  const made = await siteHost({
    nginx: { binary, prefix, conf_dir: confDir, log_dir: join(prefix, "logs") },
    // The pid file has a relative path, and there is neither uwsgi_params nor a conf.d next to nginx.conf.
    conf: (text) =>
      text
        .replace(/^pid .*$/m, "pid logs/nginx.pid;")
        .replace(/include .*;/, `include ${join(prefix, "sites")}/*.conf;`)
        .replace(/error_log .*;/, "error_log logs/error.log;"),
    pidFile: join(prefix, "logs", "nginx.pid"),
  });
  await made.serve({}, [await backend(saying("v1"))]);
  expect(await said(made.port)).toBe("v1");
  expect(readdirSync(join(prefix, "sites")).toSorted()).toEqual([name, second]);
  expect(existsSync(join(prefix, "logs", "cutover-shop.access.log"))).toBe(true);
  expect(await made.privileged.oldWorkers()).toBe(false);
  await made.privileged.removeApp("shop");
  expect(readdirSync(join(prefix, "sites"))).toEqual([]);
});
