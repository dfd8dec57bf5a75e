import { expect, test } from "vitest";
import {
  groupName,
  programsFileName,
  renderPrograms,
  runOfProgramsFile,
} from "../../../../agent/host/supervisor/programs.ts";
import { release } from "../scratch.ts";

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
