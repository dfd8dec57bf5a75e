import { expect, test } from "vitest";
import {
  groupName,
  ownerOfProgramsFile,
  processOfLaunchFile,
  processPrograms,
  processStop,
  programsFileName,
  renderPrograms,
  runOfProgramsFile,
  stopSecondsOf,
} from "../../../../agent/host/supervisor/programs-file.ts";
import { release, testConfig } from "../scratch.ts";

const run = `${release}.2`;

test("the file of a run, exactly", () => {
  const text = renderPrograms({
    app: "shop",
    run,
    node: "/opt/node 24/bin/node",
    launcher: "/usr/lib/cutover/launch.mjs",
    user: "shop",
    instances: ["web-0", "web-1"].map((name) => ({
      name,
      launchFile: `/srv/100%/run/${name}.json`,
      logFile: `/srv/100%/logs/${name}.log`,
    })),
  });
  const program = (name: string) => `
[program:cutover-shop-${run}-${name}]
process_name=${name}
command="/opt/node 24/bin/node" /usr/lib/cutover/launch.mjs /srv/100%%/run/${name}.json
user=shop
autostart=true
autorestart=true
startsecs=1
startretries=1000000000
stopsignal=TERM
stopwaitsecs=10
stopasgroup=true
killasgroup=true
redirect_stderr=true
stdout_logfile=/srv/100%%/logs/${name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=3
`;
  expect(text).toBe(
    `; Written by cutover. Changes are lost.
[group:cutover-shop-${run}]
programs=cutover-shop-${run}-web-0,cutover-shop-${run}-web-1
${program("web-0")}${program("web-1")}`,
  );
});

const { worker } = testConfig({
  processes: { worker: { command: "celery worker", instances: 2, stop_signal: "INT", stop_timeout: "90500ms" } },
}).processes;
if (worker === undefined) throw new Error("no worker");

test("the file of a process, exactly: only its main process is asked to stop, all of it is killed", () => {
  const text = renderPrograms({
    app: "shop",
    run,
    node: "/n",
    launcher: "/l",
    process: { name: "worker", stop: processStop(worker) },
    instances: processPrograms("worker", worker).map((name) => ({
      name,
      launchFile: `/run/${name}.json`,
      logFile: `/logs/${name}.log`,
    })),
  });
  const program = (name: string) => `
[program:cutover-shop-${run}+worker-${name}]
process_name=${name}
command=/n /l /run/${name}.json
autostart=true
autorestart=true
startsecs=1
startretries=1000000000
stopsignal=INT
stopwaitsecs=91
stopasgroup=false
killasgroup=true
redirect_stderr=true
stdout_logfile=/logs/${name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=3
`;
  const names = ["worker-0", "worker-1"].map((name) => `cutover-shop-${run}+worker-${name}`);
  expect(text).toBe(
    `; Written by cutover. Changes are lost.
[group:cutover-shop-${run}+worker]
programs=${names.join(",")}
${program("worker-0")}${program("worker-1")}`,
  );
  expect(stopSecondsOf(text)).toBe(91);
  expect(stopSecondsOf("")).toBe(10);
});

test("without a user there is no user line", () => {
  expect(renderPrograms({ app: "shop", run, node: "/n", launcher: "/l", instances: [] })).not.toContain("user=");
});

test.each(['/a"b', "/a'b", "/a\nb", "/a;b", "/a #b", "/a\\b"])("the path %j is refused", (node) => {
  const instances = [{ name: "web-0", launchFile: "/l.json", logFile: "/l.log" }];
  expect(() => renderPrograms({ app: "shop", run, node, launcher: "/l", instances })).toThrow(RangeError);
});

test("a file tells its run, and only to its own app", () => {
  expect(groupName("shop", run)).toBe(`cutover-shop-${run}`);
  expect(runOfProgramsFile("shop", programsFileName("shop", run))).toBe(run);
  expect(runOfProgramsFile("shop", programsFileName("shop-2", run))).toBeUndefined();
  expect(runOfProgramsFile("shop-2", programsFileName("shop", run))).toBeUndefined();
  expect(runOfProgramsFile("shop", "nginx.conf")).toBeUndefined();
  expect(runOfProgramsFile("shop", `${programsFileName("shop", run)}.tmp`)).toBeUndefined();
});

test("a file of a process tells its run and its process, and no file is taken for another's", () => {
  const file = programsFileName("shop", run, "mail-1");
  expect(file).toBe(`cutover-shop-${run}+mail-1.conf`);
  expect(ownerOfProgramsFile("shop", file)).toEqual({ run, process: "mail-1" });
  expect(ownerOfProgramsFile("shop", programsFileName("shop", run))).toEqual({ run });
  expect(runOfProgramsFile("shop", file)).toBe(run);
  for (const name of ["web", "Worker", "a+b", ""]) {
    expect(ownerOfProgramsFile("shop", `cutover-shop-${run}+${name}.conf`), name).toBeUndefined();
  }
  expect(ownerOfProgramsFile("shop-2", file)).toBeUndefined();
});

test("a launch file tells its process, and none belongs to a web instance's", () => {
  expect(processOfLaunchFile("worker-0.json")).toBe("worker");
  expect(processOfLaunchFile("web-1-12.json")).toBe("web-1");
  for (const name of ["web-0.json", "web-0.sock", "worker.json", "worker-0.json.tmp", "A-0.json"]) {
    expect(processOfLaunchFile(name), name).toBeUndefined();
  }
});
