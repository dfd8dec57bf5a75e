import type { AppFacts, HelperFacts, HostFacts, SupervisorFacts } from "../../../agent/doctor/facts/facts.ts";
import { parseNginxDump } from "../../../agent/doctor/nginx-config.ts";
import { parseIni } from "../../../agent/doctor/supervisor-conf.ts";
import { agentSettingsSchema, appSettingsSchema } from "../../../agent/settings.ts";
import { configSchema } from "../../../shared/config.ts";

export const now = Date.parse("2026-11-21T10:40:00Z");

export function nginxDump(http: string, top = ""): string {
  return `# configuration file /etc/nginx/nginx.conf:\nuser www-data;\n${top}\nevents { worker_connections 1024; }\nhttp {\n${http}\n}\n`;
}

const include = "include /etc/nginx/conf.d/*.conf;";

export function configuration(http = include, top = "") {
  return parseNginxDump(nginxDump(http, top)).directives;
}

export const supervisorConf = `[unix_http_server]
file=/run/supervisor.sock
[include]
files = /etc/supervisor/conf.d/*.conf
`;

export const entry = (path: string, mode: number, uid = 0, gid = 0) => ({ path, mode, uid, gid });

export function liveConfig(parts: object = {}) {
  return configSchema.parse({ app: "shop", server: { kind: "gunicorn", app: "shop:app" }, ...parts });
}

export function appSettings(parts: object = {}) {
  const file = "/etc/cutover/apps/shop.yml";
  return { ...appSettingsSchema.parse({ user: "shop", domains: ["shop.example.com"], ...parts }), app: "shop", file };
}

export function env(parts: Partial<AppFacts["env"]>): AppFacts["env"] {
  const path = "/etc/cutover/apps/shop.env";
  return { path, named: false, entry: entry(path, 0o100600), rootsAlone: true, faults: [], ...parts };
}

export function appFacts(parts: Partial<AppFacts> = {}): AppFacts {
  const home = "/var/lib/cutover/apps/shop";
  return {
    app: "shop",
    file: "/etc/cutover/apps/shop.yml",
    settings: appSettings(),
    faults: [],
    user: { name: "shop", uid: 1001, gids: [1001] },
    group: { name: "shop", members: [] },
    env: env({}),
    live: liveConfig(),
    release: "20261121T103000Z-3f2c1ab",
    environment: { named: "/usr/bin/python3.11", real: "/usr/bin/python3.11", made: ["3.11"], fits: true },
    outside: [],
    order: undefined,
    home,
    ways: [
      { to: home, entries: [entry("/", 0o40755), entry("/var", 0o40755), entry(home, 0o40711)] },
      {
        to: `${home}/run/r/web-0.sock`,
        entries: [
          entry("/", 0o40755),
          entry(`${home}/run/r`, 0o42750, 1001, 33),
          entry(`${home}/run/r/web-0.sock`, 0o140770, 1001, 33),
        ],
      },
    ],
    ...parts,
  };
}

/** Of a host with an agent of its own user on which there is nothing to find. */
export function helperFacts(parts: Partial<HelperFacts> = {}): HelperFacts {
  return {
    path: "/run/cutover-helper.sock",
    user: { name: "cutover-agent", uid: 990, gids: [990] },
    way: [entry("/", 0o40755), entry("/run", 0o40755)],
    setfacl: true,
    socket: entry("/run/cutover-helper.sock", 0o140660, 0, 990),
    settings: [entry("/etc/cutover/agent.yml", 0o100644), entry("/etc/cutover/apps", 0o40755)],
    directories: [entry("/var/lib/cutover", 0o41771, 0, 990), entry("/var/lib/cutover/apps", 0o40755)],
    ...parts,
  };
}

export function program(name: string, parts: Partial<SupervisorFacts["programs"][number]> = {}) {
  return { group: "cutover-shop-20261121T103000Z-3f2c1ab", name, state: "RUNNING" as const, detail: "", ...parts };
}

/** A host on which there is nothing to find. */
export function healthyHost(parts: Partial<HostFacts> = {}): HostFacts {
  return {
    now,
    version: "1.2.3",
    upgrade: false,
    settings: agentSettingsSchema.parse({}),
    agent: { socket: "/run/cutover/agent.sock", version: "1.2.3" },
    apps: [appFacts()],
    helper: undefined,
    units: [],
    strayEnvFiles: [],
    nginx: {
      test: { ok: true, output: "nginx: configuration file /etc/nginx/nginx.conf test is successful\n" },
      configuration: configuration(),
      main: "/etc/nginx/nginx.conf",
      built: "configure arguments: --with-http_ssl_module --with-http_gzip_static_module",
      pidFile: "/run/nginx.pid",
      master: { pid: 100, openFiles: 4096 },
      worker: { name: "nginx's workers", uid: 33, gids: [33] },
      files: ["cutover-shop.conf", "cutover-shop.upstream.conf", "other.conf"],
    },
    ownGroup: 33,
    supervisor: {
      socket: "answers",
      daemon: { pid: 200, openFiles: 1024, processes: 10_000, umask: 0o022 },
      daemons: [{ pid: 200, conf: "/etc/supervisor/supervisord.conf", socket: "/run/supervisor.sock", includes: true }],
      conf: { path: "/etc/supervisor/supervisord.conf", ini: parseIni(supervisorConf) },
      files: ["cutover-shop-20261121T103000Z-3f2c1ab.conf", "celery.conf"],
      programs: [program("web-0"), program("web-1")],
    },
    processors: 1,
    certificates: [],
    webhookFiles: [],
    directories: [],
    pythons: [
      { version: undefined, apps: ["shop"], found: { path: "/usr/bin/python3", version: "3.11.2", pip: [23, 0] } },
    ],
    loopback: undefined,
    ephemeral: { first: 32_768, last: 60_999 },
    disk: { path: "/var/lib/cutover", free: 50 * 1024 ** 3, inodes: 1_000_000 },
    ...parts,
  };
}
