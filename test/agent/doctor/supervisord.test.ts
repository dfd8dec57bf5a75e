import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { basename, dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { supervisorFacts } from "../../../agent/doctor/facts/supervisor.ts";
import { Supervisor } from "../../../agent/host/supervisor/supervisor.ts";
import { eventually } from "../host/scratch.ts";
import { finding, host } from "./own-host.ts";

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
