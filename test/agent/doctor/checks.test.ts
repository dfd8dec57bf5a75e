import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { checks, judge } from "../../../agent/doctor/checks.ts";
import type { HostFacts, NginxFacts, SupervisorFacts } from "../../../agent/doctor/facts/facts.ts";
import { parseIni } from "../../../agent/doctor/supervisor-conf.ts";
import { agentSettingsSchema } from "../../../agent/settings.ts";
import {
  appFacts,
  appSettings,
  configuration,
  entry,
  env,
  healthyHost,
  helperFacts,
  liveConfig,
  now,
  supervisorConf,
} from "./facts.ts";

const host = healthyHost();
const nginx = (parts: Partial<NginxFacts>) => healthyHost({ nginx: { ...host.nginx, ...parts } });
const supervisor = (parts: Partial<SupervisorFacts>) => healthyHost({ supervisor: { ...host.supervisor, ...parts } });
const app = (parts: Parameters<typeof appFacts>[0]) => healthyHost({ apps: [appFacts(parts)] });
const conf = (text: string) => ({ path: "/etc/supervisor/supervisord.conf", ini: parseIni(text) });
const day = 86_400_000;
const certificate = {
  named: "tls in agent.yml",
  certificate: "/a.pem",
  key: "/a.key",
  problem: undefined,
  expires: now + 90 * day,
  keyEntry: entry("/a.key", 0o100600),
};
const second = { pid: 201, conf: "/root/supervisord.conf", socket: "/tmp/supervisor.sock", includes: false };
const root = { name: "root", uid: 0, gids: [0] };

test("a healthy host has no findings", () => {
  expect(judge(host)).toEqual([]);
});

test("every file of checks is in the list, under its own name", () => {
  const files = readdirSync("agent/doctor/checks").map((file) => file.replace(/\.ts$/, ""));
  expect(Object.keys(checks).toSorted()).toEqual(files.toSorted());
});

const two = (parts: Parameters<typeof helperFacts>[0], more: Partial<HostFacts> = {}) =>
  healthyHost({ helper: helperFacts(parts), ...more });

test("a healthy host with two processes has no findings", () => {
  expect(judge(two({}))).toEqual([]);
});

const table: [name: string, facts: HostFacts, check: string, severity: string, what: RegExp, fix: RegExp][] = [
  [
    "an agent that is down",
    healthyHost({ agent: { socket: "/s", failure: "No agent answers on /s." } }),
    "agent",
    "error",
    /No agent answers on \/s/,
    /systemctl start cutover-agent/,
  ],
  [
    "a host without the agent's user",
    two({ user: undefined }),
    "helper",
    "error",
    /no user cutover-agent/,
    /useradd --system cutover-agent/,
  ],
  ["an agent's user that is root", two({ user: root }), "helper", "error", /must not be root/, /agent_user/],
  [
    "a helper's socket that does not exist",
    two({ socket: undefined }),
    "helper",
    "error",
    /does not exist/,
    /helper\.socket/,
  ],
  [
    "a helper's socket that is open to all",
    two({ socket: entry("/run/cutover/helper.sock", 0o140666, 0, 990) }),
    "helper",
    "error",
    /0666/,
    /SocketMode=0660/,
  ],
  [
    "settings that others than root can change",
    two({ settings: [entry("/etc/cutover/apps/shop.yml", 0o100664)] }),
    "helper",
    "error",
    /Others than root can change .*shop\.yml/,
    /chmod go-w/,
  ],
  [
    "a data directory that is the agent's",
    two({ directories: [entry("/var/lib/cutover", 0o40755, 990, 990)] }),
    "helper",
    "error",
    /\/var\/lib\/cutover must belong to root and have the sticky bit/,
    /chmod \+t/,
  ],
  [
    "an app that is the agent's user",
    two({}, { apps: [appFacts({ user: { name: "cutover-agent", uid: 990, gids: [990] } })] }),
    "helper",
    "error",
    /shop would run as the agent's own user/,
    /user: shop/,
  ],
  [
    "two apps whose users have one group",
    two({}, { apps: [appFacts(), appFacts({ app: "blog", user: { name: "blog", uid: 1002, gids: [1001] } })] }),
    "helper",
    "warning",
    /users of blog and shop have the same group 1001/,
    /groupadd/,
  ],
  [
    "an agent of another version",
    healthyHost({ agent: { socket: "/s", version: "1.0.0" } }),
    "agent",
    "warning",
    /1\.0\.0.*1\.2\.3/,
    /systemctl restart/,
  ],
  [
    "an agent that speaks plain HTTP beyond this host",
    healthyHost({ settings: agentSettingsSchema.parse({ listen: "0.0.0.0:7070", insecure: true }) }),
    "agent",
    "warning",
    /plain HTTP on 0\.0\.0\.0:7070/,
    /Write `tls`/,
  ],
  [
    "settings of an app with a fault",
    app({ settings: undefined, faults: ["shop.yml:3:1: usr: unknown key"] }),
    "app-settings",
    "error",
    /shop\.yml:3:1: usr/,
    /Correct/,
  ],
  [
    "trust in an issuer that agent.yml does not name",
    app({
      settings: appSettings({
        trust: [
          { github: { repository: "acme/shop", any_ref: true, issuer: "https://ghes.example.com/_services/token" } },
        ],
      }),
    }),
    "trusted-issuers",
    "error",
    /acme\/shop at https:\/\/ghes\.example\.com\/_services\/token/,
    /`github` in agent\.yml/,
  ],
  [
    "trust in the first issuer when agent.yml has none",
    healthyHost({
      settings: { ...host.settings, github: [] },
      apps: [appFacts({ settings: appSettings({ trust: [{ github: { repository: "acme/shop", any_ref: true } }] }) })],
    }),
    "trusted-issuers",
    "error",
    /the first issuer/,
    /`github` in agent\.yml/,
  ],
  [
    "an app's user that does not exist",
    app({ user: undefined }),
    "app-users",
    "error",
    /no user shop/,
    /useradd --system/,
  ],
  [
    "an app that runs as root",
    app({ user: root, settings: appSettings({ user: "root" }) }),
    "app-users",
    "error",
    /would run as root/,
    /useradd/,
  ],
  [
    "an app that runs as nginx",
    app({ user: { name: "www-data", uid: 33, gids: [33] } }),
    "app-users",
    "warning",
    /user of nginx's workers/,
    /useradd/,
  ],
  [
    "ports of two apps that meet",
    healthyHost({
      apps: [
        appFacts({ settings: appSettings({ ports: "9000-9099" }) }),
        appFacts({ app: "blog", file: "/blog.yml", settings: appSettings({ ports: ["8000-8001", "9099-9200"] }) }),
      ],
    }),
    "app-ports",
    "error",
    /9099-9200 of blog are also those of shop \(.*shop\.yml\)/,
    /`ports` in \/blog\.yml/,
  ],
  [
    "ports of an app that are a site's",
    app({ settings: appSettings({ ports: "9000-9099", listen: ["127.0.0.1:9001"] }) }),
    "app-ports",
    "error",
    /also those of the site of shop/,
    /a range of its own/,
  ],
  [
    "ports that the kernel gives away",
    app({ settings: appSettings({ ports: "40000-40099" }) }),
    "app-ports",
    "warning",
    /outgoing connections \(32768-60999\)/,
    /below 32768/,
  ],
  [
    "secrets that others may read",
    app({ env: env({ path: "/e.env", named: false, entry: entry("/e.env", 0o100640) }) }),
    "secrets",
    "error",
    /0640/,
    /chmod 0600 \/e\.env/,
  ],
  [
    "secrets that are named and do not exist",
    app({ env: env({ path: "/e.env", named: true, entry: undefined }) }),
    "secrets",
    "error",
    /names \/e\.env as env_file, but that file does not exist/,
    /cutover env set shop/,
  ],
  [
    "a line of secrets that says something else",
    app({ env: env({ path: "/e.env", faults: [{ line: 3, message: "B is not set" }] }) }),
    "secrets",
    "warning",
    /e\.env:3: B is not set\./,
    /cutover env set/,
  ],
  [
    "a webhook's file that cannot be read",
    healthyHost({
      webhookFiles: [
        {
          named: "webhooks[0].url_file in agent.yml",
          path: "/e/chat",
          problem: "cannot be read: ENOENT",
          entry: undefined,
        },
      ],
    }),
    "webhooks",
    "warning",
    /\/e\/chat cannot be read: ENOENT \(webhooks\[0\]\.url_file in agent\.yml\)/,
    /0600/,
  ],
  [
    "a webhook's secret that others may read",
    healthyHost({
      webhookFiles: [
        {
          named: "webhooks[1].secret_file in apps/shop.yml",
          path: "/e/secret",
          problem: undefined,
          entry: entry("/e/secret", 0o100644),
        },
      ],
    }),
    "webhooks",
    "error",
    /\/e\/secret holds a secret.*0644/,
    /chmod 0600 \/e\/secret/,
  ],
  [
    "a directory of logs that does not exist",
    healthyHost({
      directories: [
        { named: "nginx.log_dir in agent.yml", path: "/l", purpose: "nginx refuses it.", entry: undefined },
      ],
    }),
    "directories",
    "error",
    /\/l \(nginx\.log_dir in agent\.yml\) does not exist/,
    /mkdir -p \/l/,
  ],
  [
    "a directory for ACME that is a file",
    healthyHost({
      directories: [{ named: "acme_challenge", path: "/a", purpose: "No renewal.", entry: entry("/a", 0o100644) }],
    }),
    "directories",
    "error",
    /\/a \(acme_challenge\) is not a directory/,
    /mkdir -p \/a/,
  ],
  [
    "secrets of nobody",
    healthyHost({ strayEnvFiles: ["/etc/cutover/apps/old.env"] }),
    "secrets",
    "warning",
    /old\.env/,
    /Remove/,
  ],
  [
    "no nginx",
    nginx({ test: undefined, configuration: [], master: undefined, worker: undefined }),
    "nginx-runs",
    "error",
    /cannot be started as `nginx`/,
    /openresty/,
  ],
  [
    "an nginx that refuses its configuration",
    nginx({
      test: {
        ok: false,
        output:
          'nginx: [emerg] unknown directive "gzp" in /etc/nginx/nginx.conf:7\nnginx: configuration file test failed\n',
      },
      configuration: [],
    }),
    "nginx-runs",
    "error",
    /unknown directive "gzp" in \/etc\/nginx\/nginx\.conf:7/,
    /Look at \/etc\/nginx\/nginx\.conf:7/,
  ],
  [
    "A22: an nginx that warns first and then refuses",
    nginx({
      test: {
        ok: false,
        output:
          'nginx: [warn] conflicting server name "a.example.com" on 0.0.0.0:80, ignored\nnginx: [emerg] unknown directive "gzp" in /etc/nginx/nginx.conf:7\n',
      },
      configuration: [],
    }),
    "nginx-runs",
    "error",
    /refuses its configuration: unknown directive "gzp"/,
    /Look at \/etc\/nginx\/nginx\.conf:7/,
  ],
  [
    "two default servers",
    nginx({
      test: {
        ok: false,
        output: "nginx: [emerg] a duplicate default server for 0.0.0.0:80 in /etc/nginx/sites-enabled/default:22\n",
      },
      configuration: [],
    }),
    "nginx-runs",
    "error",
    /duplicate default server/,
    /Remove one `default_server`/,
  ],
  [
    "a name that two sites want",
    nginx({
      test: { ok: true, output: 'nginx: [warn] conflicting server name "a.example.com" on 0.0.0.0:80, ignored\n' },
    }),
    "nginx-runs",
    "warning",
    /conflicting server name/,
    /nginx -t/,
  ],
  [
    "an nginx that does not run",
    nginx({ master: undefined }),
    "nginx-runs",
    "error",
    /not running.*\/run\/nginx\.pid/,
    /systemctl start nginx/,
  ],
  [
    "no include of the sites",
    nginx({ configuration: configuration("include sites-enabled/*;") }),
    "nginx-include",
    "error",
    /nginx\.conf does not include \/etc\/nginx\/conf\.d\/\*\.conf/,
    /include \/etc\/nginx\/conf\.d\/\*\.conf;/,
  ],
  [
    "an include outside of http",
    nginx({ configuration: configuration("", "include conf.d/*.conf;") }),
    "nginx-include",
    "error",
    /does not include/,
    /http block/,
  ],
  ["no directory for the sites", nginx({ files: undefined }), "nginx-include", "error", /not a directory/, /mkdir -p/],
  [
    "more connections than files",
    nginx({ configuration: configuration(undefined, "worker_rlimit_nofile 512;") }),
    "nginx-limits",
    "error",
    /worker_connections is 1024, and worker_rlimit_nofile is 512/,
    /worker_rlimit_nofile 2048;/,
  ],
  [
    "more connections than the kernel gives",
    nginx({ master: { pid: 1, openFiles: 1000 } }),
    "nginx-limits",
    "error",
    /1024, and the limit of open files of nginx is 1000/,
    /worker_rlimit_nofile/,
  ],
  [
    "few connections",
    nginx({
      configuration: configuration().map((one) =>
        one.name === "events" ? { ...one, block: [{ ...one, name: "worker_connections", args: ["64"] }] } : one,
      ),
    }),
    "nginx-limits",
    "warning",
    /is 64/,
    /1024/,
  ],
  [
    "an nginx without gzip_static",
    {
      ...nginx({ built: "configure arguments: --with-http_ssl_module" }),
      apps: [appFacts({ live: liveConfig({ static: [{ url: "/s/", from: "s", gzip_static: true }] }) })],
    },
    "nginx-modules",
    "error",
    /gzip_static.*shop/,
    /nginx-full/,
  ],
  [
    "an nginx without uwsgi",
    {
      ...nginx({ built: "configure arguments: --without-http_uwsgi_module" }),
      apps: [appFacts({ live: liveConfig({ server: { kind: "uwsgi", app: "a:b" } }) })],
    },
    "nginx-modules",
    "error",
    /uwsgi/,
    /do not use it/,
  ],
  [
    "an nginx without ssl",
    {
      ...nginx({ built: "configure arguments: --without-x" }),
      apps: [appFacts({ settings: appSettings({ listen: ["443 ssl"] }) })],
    },
    "nginx-modules",
    "error",
    /ngx_http_ssl_module/,
    /Install/,
  ],
  [
    "another default server",
    {
      ...nginx({ configuration: configuration("include conf.d/*.conf; server { listen 80 default_server; }") }),
      apps: [appFacts({ settings: appSettings({ domains: [] }) })],
    },
    "default-server",
    "error",
    /shop has no domains.*0\.0\.0\.0:80|shop has no domains/,
    /domains:/,
  ],
  [
    "two apps without domains",
    healthyHost({
      apps: [
        appFacts({ settings: appSettings({ domains: [] }) }),
        appFacts({ app: "blog", file: "/etc/cutover/apps/blog.yml", settings: appSettings({ domains: ["*"] }) }),
      ],
    }),
    "default-server",
    "error",
    /blog has no domains.*shop\.yml/,
    /blog\.yml/,
  ],
  [
    "a directory that nginx may not pass",
    app({
      ways: [{ to: "/srv/a/x.sock", entries: [entry("/", 0o40755), entry("/srv", 0o40750), entry("/srv/a", 0o40755)] }],
    }),
    "socket-ways",
    "error",
    /nginx's workers may not pass \/srv \(0750/,
    /chmod o\+x \/srv/,
  ],
  [
    "a socket that nginx may not open",
    app({ ways: [{ to: "/a.sock", entries: [entry("/", 0o40755), entry("/a.sock", 0o140755, 1001, 1001)] }] }),
    "socket-ways",
    "error",
    /may not open \/a\.sock/,
    /cutover redeploy shop/,
  ],
  [
    "a directory that the app may not pass",
    app({ ways: [{ to: "/srv", entries: [entry("/", 0o40755), entry("/srv", 0o40710, 0, 33)] }] }),
    "socket-ways",
    "error",
    /shop may not pass \/srv/,
    /chmod o\+x/,
  ],
  [
    "nginx outside of its group",
    healthyHost({ ownGroup: 34 }),
    "socket-ways",
    "error",
    /not in the group www-data/,
    /nginx\.group/,
  ],
  [
    "a group that does not exist",
    healthyHost({ ownGroup: "none" }),
    "socket-ways",
    "error",
    /no group www-data/,
    /nginx\.group/,
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
    /supervisorctl reload/,
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
    "a supervisord that does not answer",
    supervisor({ socket: "stale", daemon: undefined }),
    "second-supervisord",
    "error",
    /supervisord 200 .*does not answer/,
    /kill 200/,
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
    "a Python that does not exist",
    healthyHost({ pythons: [{ version: "3.13", apps: ["shop"], found: undefined }] }),
    "pythons",
    "error",
    /no Python 3\.13.*shop needs it/,
    /python_path/,
  ],
  [
    "a Python without pip",
    healthyHost({
      pythons: [
        { version: undefined, apps: [], found: { path: "/usr/bin/python3", version: "3.11.2", pip: undefined } },
      ],
    }),
    "pythons",
    "warning",
    /no pip/,
    /python3-pip/,
  ],
  [
    "an old pip",
    healthyHost({ pythons: [{ version: undefined, apps: [], found: { path: "/p", version: "3.9.2", pip: [20, 3] } }] }),
    "pythons",
    "warning",
    /pip 20\.3/,
    /later/,
  ],
  [
    "a certificate that expires",
    healthyHost({ certificates: [{ ...certificate, expires: now + 5 * day }] }),
    "certificates",
    "warning",
    /a\.pem expires in 5 days/,
    /certbot/,
  ],
  [
    "a certificate that has expired",
    healthyHost({ certificates: [{ ...certificate, expires: now - 2 * day }] }),
    "certificates",
    "error",
    /expired 2 days ago/,
    /Renew/,
  ],
  [
    "a certificate that cannot be read",
    healthyHost({ certificates: [{ ...certificate, expires: undefined, problem: "/a.pem cannot be read: ENOENT" }] }),
    "certificates",
    "error",
    /ENOENT \(tls in agent\.yml\)/,
    /Correct the path/,
  ],
  [
    "a key for all",
    healthyHost({ certificates: [{ ...certificate, keyEntry: entry("/a.key", 0o100644) }] }),
    "certificates",
    "error",
    /a\.key.*0644/,
    /chmod o-rwx/,
  ],
  [
    "a full disk",
    healthyHost({ disk: { path: "/d", free: 1000, inodes: 1e6 } }),
    "disk",
    "error",
    /1 kB free|1000 B free/,
    /Free some/,
  ],
  [
    "a disk that is nearly full",
    healthyHost({ disk: { path: "/d", free: 500 * 1024 ** 2, inodes: 1e6 } }),
    "disk",
    "warning",
    /500 MiB free/,
    /keep/,
  ],
  [
    "a file system without inodes",
    healthyHost({ disk: { path: "/d", free: 1e12, inodes: 10 } }),
    "disk",
    "warning",
    /10 more files/,
    /Free some/,
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
];

test.each(table)("%s", (_, facts, check, severity, what, fix) => {
  const found = judge(facts).filter((finding) => finding.check === check);
  expect(found).toEqual([
    {
      check,
      severity,
      what: expect.stringMatching(what),
      why: expect.stringMatching(/\.$/),
      fix: expect.stringMatching(fix),
    },
  ]);
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
