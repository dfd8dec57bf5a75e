import { copyFile, cp, mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bySystemd } from "../../agent/host/exec/own-session.ts";
import { agentProgram, node, repository } from "../harness/places.ts";
import { pushIntoTerminal as push } from "../harness/push.ts";
import { describeLab } from "./describe-lab.ts";
import { LabFleet } from "./lab-fleet.ts";
import type { LabHost } from "./lab-host.ts";
import { asLastRelease } from "./last-release.ts";
import { SmallApp } from "./small-app.ts";

const minutes = 60_000;
const apps = "/var/lib/cutover/apps";

/** A bare Debian: without nginx, supervisor and Python. */
describeLab("the Debian package on a bare host", () => {
  let fleet: LabFleet;
  let live: string;
  const app = new SmallApp();
  const host = () => fleet.hosts[0] as LabHost;
  const property = async (name: string) =>
    (await host().check("systemctl", "show", "--value", "-p", name, "cutover-agent")).trim();

  beforeAll(async () => {
    fleet = await LabFleet.start(1, { bare: true });
  });
  afterAll(async () => {
    await fleet?.[Symbol.asyncDispose]();
    await app[Symbol.asyncDispose]();
  });

  /** Nothing of what is done meanwhile may cost a visitor anything. */
  async function underLoad(act: () => Promise<void>): Promise<void> {
    const load = await fleet.load(host());
    try {
      await act();
    } finally {
      const report = await load.stop();
      expect(report.failures, JSON.stringify(report.failures.slice(0, 5))).toEqual([]);
      expect(report.ok).toBeGreaterThan(20);
    }
  }

  test(
    "is installed by apt with what it needs, and the first deploy works",
    async () => {
      await fleet.install(host(), await fleet.package());
      await fleet.addShop(host());
      live = await app.deploy(host());
      expect(await fleet.visit(host())).toMatchObject({ release: live });
      expect((await host().run("systemctl", "--failed", "--no-legend")).stdout).toBe("");
      expect(await host().check("cutover", "status")).toContain("shop");
    },
    5 * minutes,
  );

  test(
    "visitors' requests are counted by release, from a file that no app can read and that the helper rotates",
    async () => {
      const log = "/var/lib/cutover/requests/shop.log";
      const seen = async (): Promise<number> => {
        const [{ requests }] = JSON.parse(await host().check("cutover", "top", "--seconds", "600", "--json"));
        return requests?.runs.find(({ role }: { role: string }) => role === "live")?.requests ?? 0;
      };
      const patient = { timeout: minutes, interval: 500 };
      expect(await seen()).toBeGreaterThan(0);
      expect((await host().run("setpriv", "--reuid=shop", "--clear-groups", "cat", log)).code).not.toBe(0);
      for (const all of [60_000, 120_000 /* more than 8 MiB, in pieces that are read whole */]) {
        await host().check("sh", "-c", `last=$(tail -n 1 ${log}); yes "$last" | head -n 60000 >>${log}`);
        await expect.poll(seen, patient).toBeGreaterThan(all);
      }
      await expect.poll(async () => (await host().run("test", "-e", `${log}.1`)).code, patient).toBe(0);
      const rotated = await seen();
      await fleet.visit(host());
      await expect.poll(seen, patient).toBeGreaterThan(rotated);
      expect((await host().check("stat", "-c", "%U %G %a", dirname(log))).trim()).toBe("root www-data 710");
    },
    3 * minutes,
  );

  test(
    "the agent has its own user, no capability and little of the host; the helper has what its work needs",
    async () => {
      const exposure = async (unit: string) => {
        const { stdout } = await host().run("systemd-analyze", "security", "--no-pager", unit);
        return Number(/Overall exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1]);
      };
      expect(await exposure("cutover-agent.service")).toBeLessThanOrEqual(1.5);
      expect(await exposure("cutover-helper@.service")).toBeLessThanOrEqual(2.6);
      const status = await host().check("cat", `/proc/${await property("MainPID")}/status`);
      expect(status).toMatch(/^CapEff:\s+0+$/m);
      expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
      expect(status).not.toMatch(/^Uid:\s+0\b/m);
      const gid = (await host().check("id", "-g", "cutover-agent")).trim();
      expect(status).toMatch(new RegExp(`^Groups:\\s*(?:${gid} ?)?$`, "m"));
      // The helper ends when the agent has had nothing for it to do.
      const helpers = () => host().run("systemctl", "list-units", "--no-legend", "cutover-helper@*");
      await expect.poll(async () => (await helpers()).stdout, { timeout: minutes, interval: 1000 }).toBe("");
    },
    2 * minutes,
  );

  test(
    "T4b under systemd, what an app pushes into its terminal does not reach root's shell",
    async () => {
      await host().write("/root/terminal.py", await readFile(join(repository, "test/harness/terminal.py")));
      const exec = ["cutover", "exec", "shop", "--"];
      const inTerminal = async (command: string, ...argv: string[]) =>
        (await host().check("python3", "/root/terminal.py", command, ...exec, ...argv)).replaceAll("\r", "");
      for (const command of ['"$@"', 'echo hello | "$@"', '"$@" | cat']) {
        expect(await inTerminal(command, "python3", "-c", push)).toMatch(/\nended 0 b''\n$/);
      }
      const shop = (await host().check("id", "-u", "shop")).trim();
      const script = 'test -t 0 && test -t 1 && echo "terminal $(id -u) $CUTOVER_APP"; exit 7';
      expect(await inTerminal('"$@"', "sh", "-c", script)).toMatch(
        new RegExp(`^terminal ${shop} shop\n[^]*ended 7 b''\n$`),
      );
      // What ends at once is shown too. systemd-run of Debian 12 lost one in thirty; each call here has a unit name of its own.
      const ids = { uid: Number(shop), gid: Number(shop) };
      const hello = bySystemd({ app: "shop", ...ids, words: ["echo", "hello"], terminal: true }, {});
      const often = hello.argv.filter((word) => !word.startsWith("--unit="));
      const script40 = 'for round in $(seq 40); do "$@"; done';
      const screen = await host().check("python3", "/root/terminal.py", script40, ...often);
      expect(screen.match(/hello/g)).toHaveLength(40);
      const piped = ["sh", "-c", 'echo hello | "$@"', "sh", ...exec, "sh", "-c", "cat; id -u; exit 9"];
      expect(await host().run(...piped)).toMatchObject({ code: 9, stdout: `hello\n${shop}\n` });
      // What is not secret is shown of a unit, and the environment is none of it.
      expect((await host().run("sh", "-c", "ls -d /run/cutover-exec-*")).code).not.toBe(0);
      expect((await host().run("systemctl", "list-units", "--all", "--no-legend", "cutover-exec-*")).stdout).toBe("");
    },
    minutes,
  );

  test(
    "T5 systemd changes the owner of nothing that the agent can put in the way",
    async () => {
      await host().check("sh", "-c", "echo secret >/root/victim; chmod 600 /root/victim");
      const socket =
        (await host().check("systemctl", "show", "--value", "-p", "Listen", "cutover-helper.socket")).split(" ")[0] ??
        "";
      for (let path = dirname(socket); ; path = dirname(path)) {
        expect(await host().check("stat", "-c", "%u %A", path)).toMatch(/^0 d\S{4}[^w]\S{2}[^w]/);
        if (path === "/") break;
      }
      const swap =
        "cd /run/cutover; while :; do ln -sfn /root/victim helper.sock; rm -f helper.sock; ln -sfn /root/victim cutover-helper.sock; done";
      const attack = `setpriv --reuid=cutover-agent --regid=cutover-agent --clear-groups timeout 60 sh -c '${swap}' & attacker=$!
        for round in $(seq 30); do systemctl reset-failed cutover-helper.socket; systemctl restart cutover-helper.socket; done
        kill $attacker; wait $attacker; rm -f /run/cutover/*helper.sock; stat -c '%U %G %a' /root/victim`;
      expect((await host().run("sh", "-c", attack)).stdout).toBe("root root 600\n");
      await host().check("systemctl", "restart", "cutover-agent");
      live = await app.deploy(host());
    },
    2 * minutes,
  );

  test("a credential that root alone can read reaches the agent", async () => {
    await host().write("/etc/cutover/credentials/web1.key", "a key\n");
    await host().check("chmod", "600", "/etc/cutover/credentials/web1.key");
    await host().check("systemctl", "restart", "cutover-agent");
    const file = "/run/credentials/cutover-agent.service/keys_web1.key";
    expect(await host().check("setpriv", "--reuid=cutover-agent", "--clear-groups", "cat", file)).toBe("a key\n");
    expect((await host().run("setpriv", "--reuid=shop", "--clear-groups", "cat", file)).code).not.toBe(0);
  });

  test(
    "systemd starts an agent again that was killed or hangs, and the app does not notice",
    async () => {
      const unit = "/etc/systemd/system/cutover-agent.service.d/patience.conf";
      await host().write(unit, "[Service]\nWatchdogSec=6\n");
      await host().check("systemctl", "daemon-reload");
      await underLoad(async () => {
        await host().check("systemctl", "restart", "cutover-agent");
        const restarts = async () => Number(await property("NRestarts"));
        await host().check("systemctl", "kill", "--signal=SIGKILL", "cutover-agent");
        await expect.poll(restarts, { timeout: minutes }).toBe(1);
        await expect.poll(() => property("ActiveState"), { timeout: minutes }).toBe("active");
        await host().check("systemctl", "kill", "--signal=SIGSTOP", "cutover-agent");
        await expect.poll(restarts, { timeout: minutes, interval: 500 }).toBe(2);
        await expect.poll(() => property("ActiveState"), { timeout: minutes }).toBe("active");
      });
      await host().check("rm", unit);
      await host().check("systemctl", "daemon-reload");
      live = await app.deploy(host());
    },
    4 * minutes,
  );

  test(
    "an upgrade keeps the app serving and the owner's settings",
    async () => {
      await asLastRelease(host());
      live = await app.deploy(host());
      // The helper of that release made no lists.
      const runs = `${apps}/shop/run/*`;
      await host().check(
        "sh",
        "-c",
        `setfacl --remove-all --remove-default ${runs} ${runs}/*.sock; chmod 2750 ${runs}`,
      );
      const settings = await host().read("/etc/cutover/agent.yml");
      const before = await property("MainPID");
      const newer = await fleet.package("0.1.1");
      await underLoad(() => fleet.install(host(), newer));
      // The new agent opens the sockets of the run that the old one started.
      const [socket = ""] = (await host().check("sh", "-c", `ls ${apps}/shop/run/*/*.sock`)).split("\n");
      const code = "import socket,sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])";
      const asAgent = ["setpriv", "--reuid=cutover-agent", "--regid=cutover-agent", "--clear-groups"];
      await host().check(...asAgent, "python3", "-c", code, socket);
      expect((await host().run("ls", "/run/cutover/helper.sock")).code).not.toBe(0);
      expect(await host().check("dpkg-query", "--status", "cutover-agent")).toMatch(/^Version: 0\.1\.1$/m);
      expect(await property("MainPID")).not.toBe(before);
      expect(await host().read("/etc/cutover/agent.yml")).toBe(settings);
      live = await app.deploy(host());
    },
    2 * minutes,
  );

  test(
    "removed, it leaves the app serving, also after a reboot; installed again, it goes on",
    async () => {
      // T6: what a taken-over agent prepares for root's scripts.
      await host().check(
        "sh",
        "-c",
        "mkdir -p /root/kept; for n in node launch.mjs; do echo secret >/root/kept/$n; done; chmod 600 /root/kept/*",
      );
      const prepared =
        "cd /var/lib/cutover; mkdir launcher; ln -s /root/kept/node launcher/node; ln -s /nowhere/x launcher/launch.mjs";
      await host().check("su", "-s", "/bin/sh", "cutover-agent", "-c", prepared);
      const before = await host().check("sh", "-c", "stat -c '%n %U %a %Y %s' /root/kept/*");
      await underLoad(async () => void (await host().check("apt-get", "remove", "-y", "cutover-agent")));
      expect(await host().check("sh", "-c", "stat -c '%n %U %a %Y %s' /root/kept/*")).toBe(before);
      for (const file of ["node", "launch.mjs"])
        expect(await host().check("stat", "-c", "%U %F", `/usr/lib/cutover/${file}`)).toBe("root regular file\n");
      expect((await host().run("ls", "/usr/lib/cutover.kept")).code).not.toBe(0);
      expect((await host().run("systemctl", "is-active", "cutover-agent")).stdout.trim()).not.toBe("active");
      await host().reboot();
      expect(await fleet.firstVisit(host())).toMatchObject({ release: live });
      await underLoad(async () => fleet.install(host(), await fleet.package("0.1.1")));
      live = await app.deploy(host());
      expect(await fleet.visit(host())).toMatchObject({ release: live });
    },
    4 * minutes,
  );

  test(
    "purged, it takes everything away but what the app's visitors left",
    async () => {
      await host().write("/var/lib/cutover/apps/shop/shared/upload.txt", "a photo\n");
      // T6: a directory in place of the whole, dangling links, and links to what is root's.
      const prepared = `cd /var/lib/cutover; rm -rf launcher; ln -s /nowhere launcher; ln -s /root/kept kept; ln -s /root/kept ${apps}/shop/kept; ln -s /nowhere ${apps}/shop/dangling`;
      await host().check("su", "-s", "/bin/sh", "cutover-agent", "-c", prepared);
      const said = await host().check("apt-get", "purge", "-y", "cutover-agent");
      expect(said).toContain("/var/lib/cutover/apps/shop/shared is kept");
      expect(await host().check("find", "/var/lib/cutover", "-type", "f")).toBe(
        "/var/lib/cutover/apps/shop/shared/upload.txt\n",
      );
      const left =
        "ls /etc/cutover /usr/lib/cutover /run/cutover /run/cutover-helper /run/cutover-helper.sock /etc/nginx/conf.d/cutover* /etc/supervisor/conf.d/cutover* 2>/dev/null";
      expect((await host().run("sh", "-c", left)).stdout).toBe("");
      expect((await host().run("supervisorctl", "status")).stdout).toBe("");
      expect(await host().check("cat", "/root/kept/node", "/root/kept/launch.mjs")).toBe("secret\nsecret\n");
      await expect(fleet.visit(host())).rejects.toThrow("status 404");
      // A new beginning, with what was left.
      await fleet.install(host(), await fleet.package());
      expect((await host().run("systemctl", "is-active", "cutover-agent")).stdout).toBe("active\n");
      await host().check("apt-get", "purge", "-y", "cutover-agent");
    },
    4 * minutes,
  );

  test(
    "`cutover setup` brings the same to a host without the package, says each thing, and does nothing twice",
    async () => {
      const programs = host().path("/opt/cutover");
      await mkdir(programs, { recursive: true });
      await cp(join(agentProgram, ".."), programs, { recursive: true });
      await copyFile(node, host().path("/usr/local/bin/node"));
      const setup = ["node", "/opt/cutover/cutover.mjs", "setup"];
      expect(await host().check(...setup, "--dry-run")).toContain(
        "would write  /etc/systemd/system/cutover-agent.service",
      );
      expect((await host().run("ls", "/etc/systemd/system/cutover-agent.service")).code).not.toBe(0);
      expect(await host().check(...setup)).toContain("write  /etc/systemd/system/cutover-agent.service");
      expect(await property("ActiveState")).toBe("active");
      const pid = await property("MainPID");
      expect(await host().check(...setup)).not.toContain("write  ");
      expect(await property("MainPID")).toBe(pid);
      await host().check("sh", "-c", 'printf "listen: 127.0.0.1:7070\\n" >/etc/cutover/agent.yml');
      const add = "app add shop --user shop --domain shop.example.com".split(" ");
      await host().check("node", "/opt/cutover/cutover.mjs", ...add);
      live = await app.deploy(host());
      expect(await fleet.visit(host())).toMatchObject({ release: live });
    },
    3 * minutes,
  );
});
