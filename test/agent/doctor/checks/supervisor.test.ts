import { expect, test } from "vitest";
import { judge } from "../../../../agent/doctor/checks.ts";
import { appFacts, liveConfig, program, supervisorConf } from "../facts.ts";
import { conf, host, nginx, second, supervisor, testTraps } from "./traps.ts";

testTraps([
  [
    "H4 an instance of the live release that is stopped",
    supervisor({ programs: [program("web-0"), program("web-1", { state: "STOPPED" })] }),
    "instances",
    "error",
    /Of 20261121T103000Z-3f2c1ab, the live release of shop, 1 of 2 do not run: web-1 is STOPPED\./,
    /cutover logs shop/,
  ],
  [
    "H4 a live release that is wholly dead, with its worker",
    supervisor({
      programs: [
        program("web-0", { state: "FATAL", detail: "Exited too quickly" }),
        program("worker-0", { group: `${program("").group}+worker`, state: "BACKOFF" }),
      ],
    }),
    "instances",
    "error",
    /2 of 2 do not run: web-0 is FATAL \(Exited too quickly\), worker-0 is BACKOFF\./,
    /cutover redeploy shop/,
  ],
  [
    "H4 a live release that supervisord does not have",
    supervisor({ programs: [program("web-0", { group: "cutover-shop-20261120T103000Z-3f2c1ab" })] }),
    "instances",
    "error",
    /no programs of 20261121T103000Z-3f2c1ab/,
    /cutover redeploy shop/,
  ],
  [
    "instances of the live release that were never given the full share of the processor",
    supervisor({ programs: [program("web-0", { quietMs: 61_000 }), program("web-1")] }),
    "full-share",
    "warning",
    /Of 20261121T103000Z-3f2c1ab, the live release of shop, 1 of 2 run with the small share .* for booting: web-0\./,
    /systemctl restart cutover-agent/,
  ],
  [
    "no supervisord",
    supervisor({ socket: "absent", daemon: undefined, daemons: [] }),
    "supervisor-runs",
    "error",
    /\/run\/supervisor\.sock does not exist/,
    /systemctl start supervisor/,
  ],
  [
    "a stale socket",
    supervisor({ socket: "stale", daemon: undefined, daemons: [] }),
    "supervisor-runs",
    "error",
    /is stale/,
    /rm \/run\/supervisor\.sock/,
  ],
  [
    "a socket of another user",
    supervisor({ socket: "denied", daemon: undefined, daemons: [] }),
    "supervisor-runs",
    "error",
    /may not open \/run\/supervisor\.sock/,
    /as root/,
  ],
  [
    "a socket of something else",
    supervisor({ socket: "broken", daemon: undefined, daemons: [] }),
    "supervisor-runs",
    "error",
    /does not answer as supervisord/,
    /supervisor\.socket/,
  ],
  [
    "no include of the programs",
    supervisor({ conf: conf("[unix_http_server]\nfile=/run/s.sock\n") }),
    "supervisor-include",
    "error",
    /no \[include\] of \/etc\/supervisor\/conf\.d\/\*\.conf/,
    /files = /,
  ],
  [
    "an include of another directory",
    supervisor({ conf: conf(supervisorConf.replace("conf.d", "other.d")) }),
    "supervisor-include",
    "error",
    /no \[include\]/,
    /files = \/etc\/supervisor\/other\.d\/\*\.conf \/etc\/supervisor\/conf\.d\/\*\.conf`; a second \[include\] would replace it\. Then run `supervisorctl update`/,
  ],
  [
    "no socket",
    supervisor({ conf: conf("[include]\nfiles = conf.d/*.conf\n") }),
    "supervisor-include",
    "error",
    /\[unix_http_server\]/,
    /file=\/run\/supervisor\.sock/,
  ],
  [
    "a port of supervisord's",
    supervisor({ conf: conf(`${supervisorConf}[inet_http_server]\nport=9001\n`) }),
    "supervisor-include",
    "warning",
    /inet_http_server/,
    /Remove the section/,
  ],
  [
    "no directory for the programs",
    supervisor({ files: undefined }),
    "supervisor-include",
    "error",
    /not a directory/,
    /mkdir/,
  ],
  [
    "a second supervisord with the same programs",
    supervisor({ daemons: [...host.supervisor.daemons, { ...second, includes: true }] }),
    "second-supervisord",
    "error",
    /second supervisord 201.*in addition to 200/,
    /kill 201/,
  ],
  [
    "a second supervisord of somebody else",
    supervisor({ daemons: [...host.supervisor.daemons, second] }),
    "second-supervisord",
    "warning",
    /Another supervisord 201/,
    /not needed/,
  ],
  [
    "a supervisord whose socket something has replaced",
    supervisor({ socket: "stale", daemon: undefined }),
    "supervisor-runs",
    "error",
    /supervisord runs \(pid 200\), but its socket \/run\/supervisor\.sock is not the one/,
    /quiet moment restart supervisord.*stops all its programs/,
  ],
  [
    "a supervisord whose socket is gone",
    supervisor({ socket: "absent", daemon: undefined }),
    "supervisor-runs",
    "error",
    /supervisord runs \(pid 200\), but its socket \/run\/supervisor\.sock is gone/,
    /quiet moment restart supervisord.*stops all its programs/,
  ],
  [
    "a supervisord with another socket",
    supervisor({
      socket: "absent",
      daemon: undefined,
      daemons: host.supervisor.daemons.map((one) => ({ ...one, socket: "/run/sv.sock" })),
    }),
    "supervisor-runs",
    "error",
    /\/run\/supervisor\.sock does not exist/,
    /^A supervisord runs with the socket \/run\/sv\.sock \(pid 200\): if it is the right one, set supervisor\.socket/,
  ],
  [
    "a supervisord with a password",
    supervisor({ socket: "password", daemon: undefined }),
    "supervisor-runs",
    "error",
    /asks for a name and a password/,
    /^Remove `username` and `password` .*restart supervisord.*stops all its programs/,
  ],
  [
    "too few files for all instances",
    {
      ...supervisor({}),
      apps: [
        appFacts({
          live: liveConfig({
            server: { kind: "gunicorn", app: "a:b", instances: 60 },
            processes: { w: { command: "x", instances: 60 } },
          }),
        }),
      ],
    },
    "supervisor-limits",
    "error",
    /1024 open files.*240 programs/,
    /minfds=/,
  ],
  [
    "too few processes",
    { ...supervisor({ daemon: { pid: 200, openFiles: 1024, processes: 8, umask: 0o022 } }) },
    "supervisor-limits",
    "error",
    /8 processes/,
    /minprocs=/,
  ],
  [
    "an open umask",
    supervisor({ daemon: { pid: 200, openFiles: 1024, processes: undefined, umask: 0 } }),
    "supervisor-limits",
    "warning",
    /umask 000/,
    /umask=022/,
  ],
  [
    "a site of an app that is gone",
    nginx({ files: ["cutover-blog.conf"] }),
    "leftovers",
    "warning",
    /conf\.d\/cutover-blog\.conf belongs to blog/,
    /cutover app remove blog/,
  ],
  [
    "an upstream of an app that is gone",
    nginx({ files: ["cutover-my-blog.upstream.conf"] }),
    "leftovers",
    "warning",
    /belongs to my-blog/,
    /remove/,
  ],
  [
    "a worker of an app that is gone",
    supervisor({ files: ["cutover-blog-20261121T103000Z-3f2c1ab+worker.conf"] }),
    "leftovers",
    "warning",
    /belongs to blog/,
    /remove/,
  ],
  [
    "programs of an app that is gone",
    supervisor({ files: ["cutover-shop-2-20261121T103000Z-3f2c1ab.2.conf"] }),
    "leftovers",
    "warning",
    /belongs to shop-2/,
    /remove/,
  ],
]);

test("nobody is told to end a supervisord while none answers: it may be the one that runs all sites", () => {
  const silent = ["absent", "stale", "denied", "password", "broken"] as const;
  const all = silent.flatMap((socket) => judge(supervisor({ socket, daemon: undefined })));
  expect(all).toHaveLength(silent.length);
  for (const { fix } of all) expect(fix).not.toMatch(/\bkill\b/);
});

test("H8 no advice makes supervisord restart what others run, unless it says so", () => {
  const faulty = [
    supervisor({ conf: conf("[unix_http_server]\nfile=/run/s.sock\n") }),
    supervisor({ conf: conf("[include]\nfiles = /etc/x/*.conf\n") }),
    supervisor({ daemon: { pid: 200, openFiles: 8, processes: 1, umask: 0 } }),
    ...(["broken", "password", "stale"] as const).map((socket) => supervisor({ socket, daemon: undefined })),
  ];
  const fixes = faulty.flatMap((facts) => judge(facts)).map(({ fix }) => fix);
  expect(fixes.length).toBeGreaterThan(5);
  for (const fix of fixes) {
    expect(fix).not.toMatch(/supervisorctl reload/);
    if (/restart supervisord/.test(fix)) expect(fix).toContain("stops all its programs");
  }
});
