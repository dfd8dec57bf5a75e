import { expect, test } from "vitest";
import { matchesGlob } from "../../../agent/doctor/globs.ts";
import { find, parseNginx, parseNginxDump, settingOf } from "../../../agent/doctor/nginx-config.ts";
import { may, obstacle } from "../../../agent/doctor/permissions.ts";
import { includesDirectory, parseIni } from "../../../agent/doctor/supervisor-conf.ts";
import { entry } from "./facts.ts";

test("nginx's directives with their blocks, quotes, comments and lines", () => {
  const text = `user www-data; # a comment; { "
worker_processes
    auto;
http {
    log_format main '$remote_addr "$request"';
    map $uri $x { default "\${a}b;{}"; ~^/a\\;b 1; }
    server { listen 80; location / { return 200 "it's"; } }
}
`;
  const directives = parseNginx(text, "n.conf");
  expect(directives.map(({ name, args, line }) => [name, args, line])).toEqual([
    ["user", ["www-data"], 1],
    ["worker_processes", ["auto"], 2],
    ["http", [], 4],
  ]);
  expect(directives[2]?.block?.map(({ name, line }) => [name, line])).toEqual([
    ["log_format", 5],
    ["map", 6],
    ["server", 7],
  ]);
  expect(find(directives, "return")).toEqual([
    {
      directive: { name: "return", args: ["200", "it's"], file: "n.conf", line: 7 },
      around: ["http", "server", "location"],
    },
  ]);
  expect(settingOf(directives, "http", "server", "listen")).toBe("80");
  expect(settingOf(directives, "events", "worker_connections")).toBeUndefined();
});

test("OpenResty's Lua is passed over", () => {
  const text = `http {
    init_by_lua_block { local t = { a = "}" }; if t then server = 1 end }
    server { content_by_lua_block { ngx.say({ "listen 1;" }) } listen 2; }
}
events { }`;
  const directives = parseNginx(text, "n.conf");
  expect(directives.map(({ name, line }) => [name, line])).toEqual([
    ["http", 1],
    ["events", 5],
  ]);
  expect(find(directives, "listen").map(({ directive }) => directive.args)).toEqual([["2"]]);
});

test("an include is followed by what it includes, relative to the main configuration", () => {
  const dump = `nginx: the configuration file is ok
# configuration file /etc/nginx/nginx.conf:
http { include sites/*; }
# configuration file /etc/nginx/sites/a.conf:
server { include /etc/nginx/common; }
# configuration file /etc/nginx/common:
listen 81;
`;
  const { main, directives } = parseNginxDump(dump);
  expect(main).toBe("/etc/nginx/nginx.conf");
  expect(find(directives, "listen")).toEqual([
    { directive: { name: "listen", args: ["81"], file: "/etc/nginx/common", line: 1 }, around: ["http", "server"] },
  ]);
  expect(parseNginxDump("")).toEqual({ main: undefined, directives: [] });
});

test("supervisord.conf: sections, comments, values over lines", () => {
  const ini = parseIni(`; head
[supervisord]
MinFDs = 4096 ; more
environment=A="1",B="2"
[include]
files = conf.d/*.conf
        /srv/%(here)s.d/*.ini
# end
`);
  expect(ini.get("supervisord")).toEqual(
    new Map([
      ["minfds", "4096"],
      ["environment", 'A="1",B="2"'],
    ]),
  );
  expect(ini.get("include")?.get("files")).toBe("conf.d/*.conf\n/srv/%(here)s.d/*.ini");
});

test.each([
  ["conf.d/*.conf", "/etc/supervisor/conf.d", true],
  ["%(here)s/conf.d/*.conf", "/etc/supervisor/conf.d", true],
  ["/a/*.ini /etc/supervisor/conf.d/*.conf", "/etc/supervisor/conf.d", true],
  ["conf.d/*.ini", "/etc/supervisor/conf.d", false],
  ["conf.d/art.conf", "/etc/supervisor/conf.d", false],
  ["*/*.conf", "/etc/supervisor/conf.d", true],
  ["*.conf", "/etc/supervisor/conf.d", false],
])("supervisord's include %j of %s: %s", (files, directory, expected) => {
  const ini = parseIni(`[include]\nfiles = ${files}\n`);
  expect(includesDirectory({ path: "/etc/supervisor/supervisord.conf", ini }, directory)).toBe(expected);
});

test.each([
  ["/a/*.conf", "/a/b.conf", true],
  ["/a/*.conf", "/a/b/c.conf", false],
  ["/a/?.conf", "/a/b.conf", true],
  ["/a/[bc].conf", "/a/b.conf", true],
  ["/a.b", "/axb", false],
  ["/a/[", "/a/[", true],
])("the glob %s and %s: %s", (pattern, path, expected) => {
  expect(matchesGlob(pattern, path)).toBe(expected);
});

const who = { name: "w", uid: 33, gids: [33, 100] };

test.each([
  [0o700, 33, 0, true],
  [0o070, 33, 33, false],
  [0o010, 0, 100, true],
  [0o701, 0, 100, false],
  [0o001, 0, 0, true],
  [0o776, 0, 0, false],
])("mode %o of %i:%i lets a member of 33 and 100 pass: %s", (mode, uid, gid, expected) => {
  expect(may("pass", entry("/x", mode, uid, gid), who)).toBe(expected);
  expect(may("pass", entry("/x", mode, uid, gid), { name: "root", uid: 0, gids: [0] })).toBe(true);
});

test("a socket needs no x, but w", () => {
  const way = [entry("/", 0o755), entry("/a.sock", 0o660, 1, 33)];
  expect(obstacle(way, who)).toBeUndefined();
  expect(obstacle([entry("/", 0o755), entry("/a.sock", 0o640, 1, 33)], who)?.path).toBe("/a.sock");
});
