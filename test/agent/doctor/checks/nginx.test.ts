import { agentSettingsSchema } from "../../../../agent/settings.ts";
import { appFacts, appSettings, configuration, entry, healthyHost, liveConfig } from "../facts.ts";
import { app, nginx, testTraps } from "./traps.ts";

testTraps([
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
    "an nginx without real_ip, and a load balancer in front",
    healthyHost({ settings: agentSettingsSchema.parse({ trusted_proxies: ["10.0.0.5"] }) }),
    "nginx-modules",
    "error",
    /ngx_http_realip_module.*shop/,
    /nginx-full/,
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
]);
