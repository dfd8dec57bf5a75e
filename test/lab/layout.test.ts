import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { describeLabs } from "./describe-lab.ts";
import { LabFleet } from "./lab-fleet.ts";
import type { LabHost } from "./lab-host.ts";
import { SmallApp } from "./small-app.ts";

const minutes = 60_000;
const openresty = "/usr/local/openresty";
const nginxConf = `user www-data;
pid logs/nginx.pid;
error_log logs/error.log;
events {}
http {
  include conf.d/*.conf;
}
`;
const openrestyUnit = `[Service]
Type=forking
PIDFile=${openresty}/nginx/logs/nginx.pid
ExecStart=${openresty}/bin/openresty -p ${openresty}/nginx -c conf/nginx.conf
ExecReload=/bin/kill -HUP $MAINPID
[Install]
WantedBy=multi-user.target
`;
/** As `echo_supervisord_conf` writes it, with an include. */
const supervisordConf = `[unix_http_server]
file=/tmp/supervisor.sock
[supervisord]
logfile=/var/log/supervisord.log
pidfile=/run/supervisord.pid
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix:///tmp/supervisor.sock
[include]
files = /etc/supervisord.d/*.conf
`;
const paths = {
  nginx: {
    ...{
      binary: `${openresty}/bin/openresty`,
      prefix: `${openresty}/nginx`,
      conf: `${openresty}/nginx/conf/nginx.conf`,
    },
    ...{ conf_dir: `${openresty}/nginx/conf/conf.d`, log_dir: `${openresty}/nginx/logs` },
  },
  supervisor: { socket: "/tmp/supervisor.sock", conf_dir: "/etc/supervisord.d" },
};

/** A bare Debian, on which nginx has OpenResty's layout, and supervisord that of its own documentation. */
describeLabs("the package on a host with another layout", (debian) => {
  let fleet: LabFleet;
  const app = new SmallApp();
  const host = () => fleet.hosts[0] as LabHost;
  const findings = async () => {
    const { stdout } = await host().run("cutover", "doctor", "--json");
    return (JSON.parse(stdout) as { findings: { check: string; what: string; fix: string }[] }).findings;
  };

  beforeAll(async () => {
    fleet = await LabFleet.start(1, { bare: true, debian });
  });
  afterAll(async () => {
    await fleet?.[Symbol.asyncDispose]();
    await app[Symbol.asyncDispose]();
  });

  test(
    "H7 apt brings no compiler with it, also with what Debian recommends",
    async () => {
      const file = await fleet.copyPackage(host(), await fleet.package());
      const said = await host().check("apt-get", "install", "-s", "-o", "APT::Install-Recommends=true", file);
      const packages = [...said.matchAll(/^Inst (\S+)/gm)].map(([, name]) => name);
      expect(packages).toEqual(expect.arrayContaining(["nginx", "supervisor", "python3-venv"]));
      expect(
        packages.filter((name) => /^(?:gcc|gcc-\d+|g\+\+.*|make|build-essential|python3-pip)$/.test(name ?? "")),
      ).toEqual([]);
      await fleet.install(host(), await fleet.package());
      await fleet.addShop(host());
    },
    3 * minutes,
  );

  test(
    "H1 doctor names what the units cannot reach, a deploy is refused before its release command, and --fix opens it",
    async () => {
      await host().check("systemctl", "disable", "--now", "nginx", "supervisor");
      await host().check(
        "mkdir",
        "-p",
        `${openresty}/bin`,
        `${openresty}/nginx/logs`,
        paths.nginx.conf_dir,
        "/etc/supervisord.d",
      );
      await host().check("cp", "/usr/sbin/nginx", paths.nginx.binary);
      await host().write(paths.nginx.conf, nginxConf);
      await host().write("/etc/systemd/system/openresty.service", openrestyUnit);
      await host().write("/etc/supervisord.conf", supervisordConf);
      const start = "[Service]\nExecStart=\nExecStart=/usr/bin/supervisord -n -c /etc/supervisord.conf\n";
      await host().write("/etc/systemd/system/supervisor.service.d/conf.conf", start);
      await host().check("systemctl", "daemon-reload");
      await host().check("systemctl", "enable", "--now", "openresty", "supervisor");
      const settings = parse(await host().read("/etc/cutover/agent.yml")) as object;
      await host().write("/etc/cutover/agent.yml", stringify({ ...settings, ...paths }));
      await host().check("systemctl", "restart", "cutover-agent");

      const [unit] = (await findings()).filter(({ check }) => check === "units");
      for (const path of [paths.nginx.conf_dir, paths.nginx.log_dir, paths.supervisor.conf_dir])
        expect(unit?.what).toContain(`${path} (not writable)`);
      expect(unit?.what).toContain("/tmp/supervisor.sock (it has a /tmp of its own)");
      const command = "touch /var/lib/cutover/apps/shop/shared/commanded";
      const refused = await app.pack({}, { release: { command } });
      const { failure } = await app
        .send(host(), refused)
        .catch((thrown: Error) => ({ failure: { fix: thrown.message } }));
      expect(failure?.fix).toContain("cutover doctor --fix");
      expect((await host().run("ls", "/var/lib/cutover/apps/shop/shared/commanded")).code).not.toBe(0);

      const { stdout } = await host().run("cutover", "doctor", "--fix", "--yes");
      expect(stdout).toContain("fixed    write /etc/systemd/system/cutover-helper@.service.d/agent-yml.conf");
      expect((await findings()).filter(({ check }) => check === "units")).toEqual([]);
      const release = await app.deploy(host());
      expect(await fleet.firstVisit(host())).toMatchObject({ release });
      expect((await host().run("systemctl", "is-active", "nginx")).stdout).toBe("inactive\n");
    },
    4 * minutes,
  );

  test(
    "H2 H4 after a reboot a database is late for longer than supervisord's tries: all is named, and comes back",
    async () => {
      const { release } = await fleet.visit(host());
      const launch = `/var/lib/cutover/apps/shop/launch/${release}`;
      const late = `import json, sys
for path in sys.argv[1:]:
    launch = json.load(open(path))
    launch["argv"] = ["/bin/sh", "-c", 'test -e /srv/database && exec "$@"', "sh"] + launch["argv"]
    json.dump(launch, open(path, "w"))
`;
      await host().check("python3", "-c", late, `${launch}/web-0.json`, `${launch}/web-1.json`);
      await host().reboot();
      const journal = () => host().check("journalctl", "-b", "-u", "cutover-agent", "-o", "cat");
      await expect.poll(journal, { timeout: minutes, interval: 1000 }).toContain("live instances do not run");
      await expect(fleet.visit(host())).rejects.toThrow("502");
      // Each of them is STARTING for a moment again and again.
      const down = async () => (await findings()).filter(({ check }) => check === "instances").length;
      await expect.poll(down, { timeout: minutes }).toBe(1);
      const status = () => host().check("cutover", "status", "shop");
      await expect.poll(status, { timeout: minutes }).toMatch(/^ {2}down {6}web-[01] \(/m);
      await host().check("touch", "/srv/database");
      expect(await fleet.firstVisit(host())).toMatchObject({ release });
      await expect.poll(journal, { timeout: minutes, interval: 1000 }).toContain("all live instances run again");
      await expect.poll(down, { timeout: minutes }).toBe(0);
    },
    4 * minutes,
  );

  test(
    "an agent whose settings are wrong stays stopped, doctor says why, and it starts when they are mended",
    async () => {
      const { release } = await fleet.visit(host());
      const good = await host().read("/etc/cutover/agent.yml");
      const make = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=web1 -out /etc/ssl/web1.pem -keyout";
      await host().check("sh", "-c", `umask 077; ${make} /etc/ssl/web1.key; chmod a+r /etc/ssl/web1.pem`);
      const unit = async () => {
        const asked = ["ActiveState", "ExecMainStatus", "NRestarts"].map((name) => `--property=${name}`);
        const shown = await host().check("systemctl", "show", "cutover-agent", ...asked);
        return Object.fromEntries(
          shown
            .trim()
            .split("\n")
            .map((line) => line.split("=")),
        );
      };
      const key = "tls: { certificate: /etc/ssl/web1.pem, key: /etc/ssl/web1.key }";
      const faults = { [key]: "/etc/ssl/web1.key", "listn: 0.0.0.0:7070": "listn" };
      for (const [line, reason] of Object.entries(faults)) {
        await host().write("/etc/cutover/agent.yml", `${good}${line}\n`);
        await host().run("systemctl", "restart", "cutover-agent");
        await expect.poll(unit, { timeout: minutes }).toMatchObject({ ActiveState: "failed", ExecMainStatus: "78" });
        // RestartSec= is a second.
        await sleep(4000);
        expect(await unit()).toEqual({ ActiveState: "failed", ExecMainStatus: "78", NRestarts: "0" });
        const [finding] = (await findings()).filter(({ check }) => ["agent", "agent-settings"].includes(check));
        expect(finding?.what).toContain(reason);
        expect(await fleet.visit(host())).toMatchObject({ release });
      }
      await host().write("/etc/cutover/agent.yml", good);
      await host().check("systemctl", "restart", "cutover-agent");
      expect(await unit()).toMatchObject({ ActiveState: "active" });
      expect((await findings()).filter(({ check }) => check === "agent")).toHaveLength(1);
      await app.deploy(host());
    },
    3 * minutes,
  );

  test(
    "H5 autoremove leaves what the apps run with when the agent is removed; H6 app remove keeps what visitors left",
    async () => {
      const { release } = await fleet.visit(host());
      await host().check("apt-get", "remove", "-y", "cutover-agent");
      const removed = await host().check("apt-get", "autoremove", "-y");
      expect(removed).toMatch(/^Removing acl /m);
      expect(removed).not.toMatch(/^Removing (?:nginx|supervisor|python3|python3\.\d+|libstdc\+\+6)[: ]/m);
      const status = await host().check("dpkg", "--status", "nginx", "supervisor");
      expect(status.match(/^Status: install ok installed$/gm)).toHaveLength(2);
      await host().check("systemctl", "restart", "supervisor");
      expect(await fleet.firstVisit(host())).toMatchObject({ release });
      await fleet.install(host(), await fleet.package());
      const shared = "/var/lib/cutover/apps/shop/shared";
      await host().write(`${shared}/upload.txt`, "a photo\n");
      const said = await host().check("cutover", "app", "remove", "shop", "--yes");
      expect(said).toContain(`Kept ${shared}`);
      expect(await host().check("find", "/var/lib/cutover/apps/shop", "-type", "f")).toBe(`${shared}/upload.txt\n`);
    },
    4 * minutes,
  );
});
