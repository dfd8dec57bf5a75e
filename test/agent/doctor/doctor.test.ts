import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { appendFile, chmod, chown, mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { eventually, freePort } from "../host/scratch.ts";
import { finding, host } from "./own-host.ts";

test("a fresh host of its own has nothing to find", async () => {
  const { found, layout } = await host();
  await writeFile(join(layout.apps, "shop.yml"), "domains: [shop.example.com]\n");
  expect(await found()).toEqual([]);
});

test("an nginx.conf without the include, with too many connections, and then one that nginx refuses", async () => {
  const { found, layout, edit } = await host();
  await edit(layout.nginx.conf, (text) =>
    text
      .replace(/ *include .*\n/, "")
      .replace(/worker_connections \d+/, "worker_connections 65535")
      .replace(/worker_rlimit_nofile \d+/, "worker_rlimit_nofile 1024"),
  );
  expect(await found()).toEqual([
    finding("nginx-include", new RegExp(`${layout.nginx.conf} does not include`)),
    finding("nginx-limits", /worker_connections is 65535, and worker_rlimit_nofile is 1024/),
  ]);
  await edit(layout.nginx.conf, (text) => text.replace("tcp_nopush on;", "tcp_nopush perhaps;"));
  const line =
    (await readFile(layout.nginx.conf, "utf8")).split("\n").findIndex((text) => text.includes("perhaps")) + 1;
  const [refused] = await found();
  expect(refused).toEqual(
    finding("nginx-runs", new RegExp(`invalid value "perhaps".* in ${layout.nginx.conf}:${line}`)),
  );
  expect(refused?.fix).toContain(`Look at ${layout.nginx.conf}:${line}`);
});

test("a default server that an app without domains would clash with", async () => {
  const { found, layout } = await host();
  const port = await freePort();
  await writeFile(join(layout.apps, "shop.yml"), `listen: ["127.0.0.1:${port}"]\n`);
  await writeFile(
    join(layout.nginx.confDir, "default.conf"),
    `server {\n  listen 127.0.0.1:${port} default_server;\n}\n`,
  );
  expect(await found()).toEqual([finding("default-server", /default\.conf:2/)]);
});

test("an nginx and a supervisord that do not run", async () => {
  const { found, embedded } = await host();
  await embedded.stop();
  expect(await found()).toEqual([
    finding("nginx-runs", /is not running/),
    finding("supervisor-runs", /supervisor\.sock does not exist/),
  ]);
});

test("faults of agent.yml and of apps, all of them", async () => {
  const { found, layout } = await host();
  await writeFile(join(layout.apps, "shop.yml"), "usr: shop\nlisten: [x]\n");
  expect(await found()).toEqual([
    finding("app-settings", /shop\.yml:1:1: usr: unknown key.*Did you mean user\?/),
    finding("app-settings", /shop\.yml:2:10: listen\.0: /),
  ]);
  await appendFile(layout.agentSettings, "lsten: x\nlog_level: loud\n");
  expect(await found()).toEqual([
    finding("agent-settings", /lsten: unknown key/),
    finding("agent-settings", /log_level/),
  ]);
});

test("files of webhooks that do not exist, that are empty, and that everybody may read", async () => {
  const { found, layout } = await host();
  const file = (name: string) => join(layout.etc, name);
  await writeFile(file("empty"), "\n", { mode: 0o600 });
  await writeFile(file("chat"), "https://chat.example.com/hunter2\n");
  await chmod(file("chat"), 0o644);
  const hooks = `[{ url_file: ${file("chat")}, secret_file: ${file("empty")} }, { url_file: ${file("gone")} }]`;
  await appendFile(layout.agentSettings, `webhooks: ${hooks}\n`);
  const findings = await found();
  expect(findings).toEqual([
    finding("webhooks", /chat holds a secret.*0644.*webhooks\[0\]\.url_file in agent\.yml/),
    finding("webhooks", /empty is empty .*secret_file/, "warning"),
    finding("webhooks", /gone cannot be read: ENOENT/, "warning"),
  ]);
  expect(JSON.stringify(findings)).not.toContain("hunter2");
});

test("secrets, left-over files, a Python that does not exist", async () => {
  const { found, layout, dir } = await host();
  await writeFile(join(layout.apps, "shop.yml"), "domains: [shop.example.com]\n");
  await writeFile(join(layout.apps, "shop.env"), "A=hunter2\n");
  await chmod(join(layout.apps, "shop.env"), 0o640);
  await writeFile(join(layout.apps, "gone.env"), "A=hunter2\n", { mode: 0o600 });
  await writeFile(join(layout.nginx.confDir, "cutover-gone.conf"), "");
  await writeFile(join(layout.supervisor.confDir, "cutover-gone-20261121T103000Z-3f2c1ab.conf"), "");
  const live = join(layout.data, "apps/shop/releases/20261121T103000Z-3f2c1ab");
  await mkdir(live, { recursive: true });
  await symlink("releases/20261121T103000Z-3f2c1ab", join(layout.data, "apps/shop/current"));
  const config = { app: "shop", server: { kind: "gunicorn", app: "shop:app" }, python: { version: "3.4" } };
  await writeFile(join(live, "config.json"), JSON.stringify(config));
  const findings = await found();
  expect(findings).toEqual([
    finding("secrets", /shop\.env holds secrets.*0640/),
    finding("instances", /supervisord has no programs of 20261121T103000Z-3f2c1ab/),
    finding("pythons", /no Python 3\.4 .*shop needs it/),
    finding("secrets", /gone\.env/, "warning"),
    finding("leftovers", /nginx\/conf\.d\/cutover-gone\.conf/, "warning"),
    finding("leftovers", /supervisor\/conf\.d\/cutover-gone-/, "warning"),
  ]);
  expect(JSON.stringify(findings)).not.toContain("hunter2");
  expect(dir).toBeDefined();
});

test("certificates: one that has expired, one with another's key, one that does not exist", async () => {
  const { found, layout, dir } = await host();
  const make = (name: string, ...dates: string[]) => {
    const key = join(dir, `${name}.key`);
    const args = [
      "req",
      "-x509",
      "-newkey",
      "ed25519",
      "-nodes",
      "-subj",
      "/CN=a",
      "-keyout",
      key,
      "-out",
      join(dir, `${name}.pem`),
    ];
    execFileSync("openssl", [...args, ...dates], { stdio: "ignore" });
  };
  make("good", "-days", "90");
  make("short", "-days", "3");
  await appendFile(layout.agentSettings, `tls: { certificate: ${dir}/short.pem, key: ${dir}/good.key }\n`);
  expect(await found()).toEqual([
    finding("certificates", /good\.key is not the key of .*short\.pem \(tls in agent\.yml\)/),
    finding("certificates", /short\.pem expires in [23] days/, "warning"),
  ]);
  await chmod(join(dir, "good.key"), 0o644);
  await rm(join(dir, "short.pem"));
  expect(await found()).toEqual([
    finding("certificates", /short\.pem cannot be read: ENOENT/),
    finding("certificates", /good\.key is a private key that every user may read or change/),
  ]);
});

test.runIf(process.geteuid?.() === 0)(
  "a directory without x on the way to the sockets, for nginx and for the app",
  async () => {
    const { found, layout, edit } = await host();
    await writeFile(join(layout.apps, "shop.yml"), "user: games\ndomains: [shop.example.com]\n");
    const run = join(layout.data, "apps/shop/run/r");
    await mkdir(run, { recursive: true });
    await edit(layout.nginx.conf, (text) => text.replace("user root root;", "user www-data;"));
    execFileSync("nginx", ["-c", layout.nginx.conf, "-e", layout.nginx.log, "-s", "reload"]);
    await edit(layout.agentSettings, (text) => text.replace(/group: .*/, "group: www-data"));
    await eventually(async () => (await found()).length === 0);
    await edit(layout.agentSettings, (text) => text.replace(/group: .*/, "group: daemon"));
    expect(await found()).toEqual([finding("socket-ways", /not in the group daemon/)]);
    // An agent of an ordinary user cannot give its files to a group, whoever runs doctor.
    await chown(layout.data, 65534, 65534);
    expect(await found()).toEqual([]);
    await chown(layout.data, 0, 0);
    await edit(layout.agentSettings, (text) => text.replace(/group: .*/, "group: www-data"));
    await chmod(layout.data, 0o700);
    const [closed, ...others] = await found();
    expect(closed).toEqual(finding("socket-ways", new RegExp(`nginx's workers may not pass ${layout.data} \\(0700`)));
    expect(closed?.fix).toContain(`chmod o+x ${layout.data}`);
    expect(others).toEqual([]);
    await chown(layout.data, 0, 33);
    await chmod(layout.data, 0o710);
    expect(await found()).toEqual([finding("socket-ways", new RegExp(`games may not pass ${layout.data}`))]);
    await chmod(layout.data, 0o755);
    const server = createServer().listen(join(run, "web-0.sock"));
    onTestFinished(() => void server.close());
    await once(server, "listening");
    await chmod(join(run, "web-0.sock"), 0o700);
    expect(await found()).toEqual([finding("socket-ways", /may not open .*web-0\.sock/)]);
  },
);
