import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { appendFile, chmod, chown, mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { basename, dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { examine } from "../../../agent/doctor/doctor.ts";
import { supervisorFacts } from "../../../agent/doctor/facts/supervisor.ts";
import type { Finding } from "../../../agent/doctor/finding.ts";
import { type Embedded, startEmbedded } from "../../../agent/host/embedded/embedded.ts";
import { embeddedLayout } from "../../../agent/host/embedded/files.ts";
import { Supervisor } from "../../../agent/host/supervisor/supervisor.ts";
import { eventually, freePort, scratch } from "../host/scratch.ts";

const version = "1.2.3";

/** A real nginx and a real supervisord, and what doctor says of them. Other supervisords of this machine are not ours. */
async function host() {
  const dir = scratch();
  const embedded: Embedded = await startEmbedded(dir);
  onTestFinished(() => embedded.stop());
  const layout = embeddedLayout(dir);
  const found = async (): Promise<Finding[]> => {
    const askAgent = async (socket: string) => ({ socket, version });
    const findings = await examine({ config: layout.etc, version, now: Date.now(), askAgent });
    return findings.filter(({ check, what }) => check !== "second-supervisord" || what.includes(dir));
  };
  const edit = async (file: string, change: (text: string) => string) =>
    writeFile(file, change(await readFile(file, "utf8")));
  return { dir, embedded, layout, found, edit };
}

const finding = (check: string, what: RegExp, severity = "error") =>
  expect.objectContaining({ check, severity, what: expect.stringMatching(what) });

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
      .replace("worker_connections 1024", "worker_connections 65535")
      .replace("pid ", "worker_rlimit_nofile 1024;\npid "),
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

test("a stale supervisor.sock", async () => {
  const { found, embedded, layout } = await host();
  await embedded.stop();
  const { socket } = layout.supervisor;
  // A process that is killed leaves its socket behind.
  const program = `require("node:net").createServer().listen(${JSON.stringify(socket)}, () => console.log("up"))`;
  const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  child.kill("SIGKILL");
  await once(child, "close");
  expect(existsSync(socket)).toBe(true);
  expect(await found()).toContainEqual(finding("supervisor-runs", /supervisor\.sock is stale/));
});

test("something else on supervisord's socket", async () => {
  const { found, embedded, layout } = await host();
  await embedded.stop();
  const server = createServer((socket) => socket.end("220 smtp\r\n")).listen(layout.supervisor.socket);
  onTestFinished(() => void server.close());
  await once(server, "listening");
  expect(await found()).toContainEqual(finding("supervisor-runs", /does not answer as supervisord does/));
});

test("a supervisord.conf without the include, with a port", async () => {
  const { found, layout, edit } = await host();
  await edit(layout.supervisor.conf, (text) =>
    text
      .replace("files = conf.d/*.conf", "files = other.d/*.conf")
      .concat("\n[inet_http_server]\nport=127.0.0.1:9001\n"),
  );
  expect(await found()).toEqual([
    finding("supervisor-include", /no \[include\] of/),
    finding("supervisor-include", /inet_http_server/, "warning"),
  ]);
});

test("a second supervisord, with the same programs and without", async () => {
  const { found, dir, layout } = await host();
  const start = async (name: string, include: string) => {
    const conf = join(dir, `${name}.conf`);
    const socket = join(dir, `${name}.sock`);
    const text = `[unix_http_server]
file=${socket}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisord]
pidfile=${join(dir, name)}.pid
logfile=${join(dir, name)}.log
[include]
files = ${include}
`;
    await writeFile(conf, text);
    const child = spawn("supervisord", ["-n", "-s", "-c", conf], { stdio: "ignore", cwd: dir });
    onTestFinished(async () => {
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "close");
    });
    await eventually(async () => existsSync(socket));
    return child.pid;
  };
  const stranger = await start("stranger", "none.d/*.conf");
  const twin = await start("twin", `${layout.supervisor.confDir}/*.conf`);
  expect(await found()).toEqual([
    finding("second-supervisord", new RegExp(`A second supervisord ${twin} .*twin\\.conf.*with the same programs`)),
    finding("second-supervisord", new RegExp(`Another supervisord ${stranger} .*stranger\\.conf`), "warning"),
  ]);
});

test("which programs have less of the processor than supervisord, and since when", async () => {
  const { embedded, layout } = await host();
  const group = "cutover-shop-20261121T103000Z-3f2c1ab";
  const program = (name: string, command: string) => `[program:${name}]\ncommand=${command}\nstartsecs=0\n`;
  const text = `[group:${group}]\nprograms=web-0,web-1\n${program("web-0", "nice -n 10 sleep 600")}${program("web-1", "sleep 600")}`;
  await writeFile(join(layout.supervisor.confDir, `${group}.conf`), text);
  const { socket, conf_dir: confDir } = embedded.settings.supervisor;
  const client = new Supervisor({ socket, confDir });
  await client.reloadConfig();
  await client.addProcessGroup(group);
  const programs = async () => (await supervisorFacts(embedded.settings)).programs;
  await eventually(async () => (await programs()).some(({ quietMs }) => quietMs !== undefined && quietMs >= 1000));
  expect(await programs()).toEqual([
    { group, name: "web-0", state: "RUNNING", detail: "", quietMs: expect.any(Number) },
    { group, name: "web-1", state: "RUNNING", detail: "" },
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

test("a supervisord with a password is named, under whichever path its socket has", async () => {
  const { found, embedded, layout, dir, edit } = await host();
  await embedded.stop();
  const { socket, conf } = layout.supervisor;
  await symlink(dirname(socket), join(dir, "by-link"));
  const byLink = join(dir, "by-link", basename(socket));
  await edit(conf, (text) => text.replace(/^file *=.*$/m, `file=${byLink}\nusername=admin\npassword=s3cret`));
  const child = spawn("supervisord", ["-n", "-s", "-c", conf], { stdio: "ignore", cwd: dir });
  onTestFinished(async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "close");
  });
  await eventually(async () => existsSync(socket));
  const findings = (await found()).filter(({ check }) => check.includes("supervisor"));
  expect(findings).toEqual([finding("supervisor-runs", /asks for a name and a password/)]);
  const failure = await new Supervisor({ socket, confDir: layout.supervisor.confDir }).pid().catch((error) => error);
  expect(failure).toMatchObject({ code: "supervisor_unreachable" });
  expect(failure.message).toContain("asks for a name and a password");
  expect(failure.fix).toContain("Remove `username` and `password`");
});
