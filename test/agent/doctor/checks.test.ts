import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { checks, judge } from "../../../agent/doctor/checks.ts";
import { agentSettingsSchema } from "../../../agent/settings.ts";
import { host, nginx, root, supervisor, two } from "./checks/traps.ts";
import { appFacts, appSettings, configuration, healthyHost, program } from "./facts.ts";

test("a healthy host has no findings", () => {
  expect(judge(host)).toEqual([]);
});

test("every file of checks is in the list, under its own name", () => {
  const files = readdirSync("agent/doctor/checks").map((file) => file.replace(/\.ts$/, ""));
  expect(Object.keys(checks).toSorted()).toEqual(files.toSorted());
});

test("a healthy host with two processes has no findings", () => {
  expect(judge(two({}))).toEqual([]);
});

test("an instance may boot quietly, and so may what is not live; a process is as nice as its command", () => {
  const { group } = program("");
  const quiet = [
    program("web-0", { quietMs: 30_000 }),
    program("web-0", { quietMs: 3600_000, group: group.replace("3f2c1ab", "0000000") }),
    program("worker-0", { quietMs: 3600_000, group: `${group}+worker` }),
  ];
  expect(judge(supervisor({ programs: quiet }))).toEqual([]);
});

test("errors come before warnings", () => {
  const facts = {
    ...supervisor({ files: ["cutover-old-20261121T103000Z-3f2c1ab.conf"] }),
    disk: { path: "/d", free: 0, inodes: 1e6 },
  };
  expect(judge({ ...facts, strayEnvFiles: ["/x.env"] }).map(({ severity }) => severity)).toEqual([
    "error",
    "warning",
    "warning",
  ]);
});

test.each([
  { listen: "127.0.0.1:7070", insecure: true },
  { listen: "0.0.0.0:7070", insecure: true, tls: { certificate: "/a.pem", key: "/a.key" } },
])("an agent that nobody can listen to on the way is no finding: %j", (settings) => {
  expect(judge(healthyHost({ settings: agentSettingsSchema.parse(settings) }))).toEqual([]);
});

test("an agent of an ordinary user gives nothing to nginx's group", () => {
  expect(judge(healthyHost({ ownGroup: "not root" }))).toEqual([]);
  expect(judge(healthyHost({ ownGroup: 5, nginx: { ...host.nginx, worker: root } }))).toEqual([]);
});

test("an address is the same however it is written", () => {
  const settings = agentSettingsSchema.parse({});
  for (const [own, other] of [
    ["8080", "*:8080"],
    ["0.0.0.0:80", "80"],
    ["127.0.0.1:81", "localhost:81"],
  ] as const) {
    const facts = nginx({
      configuration: configuration(`include conf.d/*.conf; server { listen ${other} default_server; }`),
    });
    const apps = [
      appFacts({ settings: appSettings({ domains: [], listen: [/^\d+$/.test(own) ? Number(own) : own] }) }),
    ];
    expect(judge({ ...facts, settings, apps })).toHaveLength(1);
  }
});

test("the table of traps names checks that exist", () => {
  const page = readFileSync("agent/doctor/README.md", "utf8");
  const traps = page.split("## Traps of a hand-made setup")[1]?.split("\n## ")[0] ?? "";
  const named = [...traps.matchAll(/doctor: (`[^|;]+?)(?:[;|]| tells| walks)/g)].flatMap(([, names = ""]) =>
    [...names.matchAll(/`([a-z-]+)`/g)].map(([, name = ""]) => name),
  );
  expect(named.length).toBeGreaterThan(10);
  for (const name of named) expect(Object.keys(checks)).toContain(name);
});

/** What the five stacks set in their nginx.conf and in their sites. */
const tuned = `worker_processes use_epoll multi_accept worker_connections gzip gzip_types gzip_min_length include server_tokens
  proxy_intercept_errors client_max_body_size proxy_next_upstream error_page ip_hash hash weight backup least_conn uwsgi_params
  worker_rlimit_nofile sendfile tcp_nopush tcp_nodelay keepalive_timeout client_header_timeout client_body_timeout send_timeout
  reset_timedout_connection expires proxy_pass_header proxy_redirect proxy_set_header access_log error_log add_header
  proxy_read_timeout max_fails fail_timeout proxy_buffering`;

test("the page on nginx.conf has every directive that the five stacks tune, and names checks that exist", () => {
  const page = readFileSync("agent/host/nginx/README.md", "utf8").split("## What stays in your nginx.conf")[1] ?? "";
  const rows = page.split("\n").filter((line) => line.startsWith("| "));
  const directives = rows.map((row) => row.split("|")[1] ?? "").join(" ");
  const missing = tuned
    .split(/\s+/)
    .filter((name) => !new RegExp(`\\b${name.replace("use_epoll", "use epoll")}\\b`).test(directives));
  expect(missing).toEqual([]);
  const named = rows.flatMap((row) =>
    [...(row.split("|")[4] ?? "").matchAll(/`([a-z-]+)`/g)].map(([, name = ""]) => name),
  );
  expect(named.length).toBeGreaterThan(10);
  for (const name of named) expect(Object.keys(checks)).toContain(name);
});
