import { readFileSync } from "node:fs";
import { copyFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { stringify } from "yaml";
import { Pebble } from "../harness/pebble.ts";
import { Scratch } from "../harness/scratch.ts";
import { describeLabs } from "./describe-lab.ts";
import { LabFleet, siteName } from "./lab-fleet.ts";
import type { LabHost } from "./lab-host.ts";

const minutes = 60_000;

/** What "A host, step by step" in agent/README.md has a person type, as it stands there: commands, and the text of agent.yml. */
function documented(): { kind: string; text: string }[] {
  const page = readFileSync("agent/README.md", "utf8");
  const section = page.split("## A host, step by step\n")[1]?.split("\n## ")[0] ?? "";
  return [...section.matchAll(/^```(sh|yaml)\n(.*?)^```$/gms)].map(([, kind = "", text = ""]) => ({ kind, text }));
}

/** The host by which the page's workflow knows the agent. */
function documentedAgent(): string {
  const page = readFileSync("agent/README.md", "utf8");
  return /`hosts` in the workflow is now `(https:\S+)`/.exec(page)?.[1] ?? "";
}

describeLabs("a bare host, by the docs, from nothing to https", (debian) => {
  let fleet: LabFleet;
  let pebble: Pebble;
  const scratch = new Scratch("lab-docs");
  const host = () => fleet.hosts[0] as LabHost;

  beforeAll(async () => {
    fleet = await LabFleet.start(1, { bare: true, debian });
    await fleet.useTokens();
    pebble = await Pebble.open({
      httpPort: 80,
      address: "192.0.2.1",
      sites: host().address,
      through: fleet.lab.namespaces.inNetwork,
    });
  }, 2 * minutes);
  afterAll(async () => {
    await fleet?.[Symbol.asyncDispose]();
    await pebble?.[Symbol.asyncDispose]();
    await scratch[Symbol.asyncDispose]();
  });

  /** What only a lab needs below the page's agent.yml: its own GitHub, and its own authority. */
  function labSettings(): string {
    const { issuer } = fleet.tokens;
    const ca = "/etc/cutover-lab-authority.pem";
    return stringify({
      github: [{ issuer, server: "https://github.com" }],
      acme: { directory: pebble.settings.directory, ca },
    });
  }

  /** The lab's network, in which the agent's name leads to the host, as DNS would say it. */
  async function withNames(): Promise<string[]> {
    const file = join(scratch.path, "hosts");
    await writeFile(file, `127.0.0.1 localhost\n${host().address} ${new URL(documentedAgent()).hostname}\n`);
    const named = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c"];
    return [...fleet.lab.namespaces.inNetwork, ...named, 'mount --bind "$1" /etc/hosts; shift; exec "$@"', "sh", file];
  }

  test(
    "each step works as it stands, one deploy is made, and https comes by itself and stays over a reboot",
    async () => {
      const steps = documented();
      // The package lies where the person is who types this.
      const [, named = ""] = /apt install \.\/(\S+)/.exec(steps.map(({ text }) => text).join("")) ?? [];
      await copyFile(await fleet.package(), host().path(join("/root", named)));
      await host().write("/etc/cutover-lab-authority.pem", readFileSync(pebble.settings.ca));
      const typed: string[] = [];
      for (const { kind, text } of steps) {
        if (kind === "yaml") await host().write("/etc/cutover/agent.yml", text + labSettings());
        // Nobody is there to say yes.
        else typed.push(await host().check("sh", "-ec", `cd /root\n${text.replace("apt install", "apt install -y")}`));
      }
      expect(typed.at(-1)).toContain("Nothing found: this host is ready.");
      expect(await host().check("cutover", "tls", "status")).toContain("waits for its first deploy");
      await writeFile(join(scratch.path, "web1.pem"), await host().read("/root/web1.pem"));
      const { exitCode, stdout } = await fleet.deploy(
        { version: "v1", config: { watch: "1s" } },
        {
          inputs: { hosts: documentedAgent() },
          env: { NODE_EXTRA_CA_CERTS: join(scratch.path, "web1.pem") },
          through: await withNames(),
        },
      );
      expect(exitCode, stdout).toBe(0);
      await expect
        .poll(() => host().check("cutover", "tls", "status"), { timeout: minutes, interval: 1000 })
        .toMatch(/shop\.example\.com +valid +Pebble/);
      expect(await fleet.get(host(), "/version")).toMatchObject({ status: 301 });
      expect((await host().run("cutover", "doctor")).stdout).toContain("Nothing found: this host is ready.");
      const shown = () =>
        host().check(
          "sh",
          "-c",
          `echo | openssl s_client -connect 127.0.0.1:443 -servername ${siteName} 2>/dev/null | openssl x509 -noout -serial -ext subjectAltName`,
        );
      const before = await shown();
      expect(before).toContain(`DNS:${siteName}`);
      await host().reboot();
      await expect.poll(shown, { timeout: minutes, interval: 1000 }).toBe(before);
      expect(await host().check("cutover", "tls", "renew", "shop")).toMatch(/valid +Pebble/);
      expect(await shown()).not.toBe(before);
      expect((await host().run("systemctl", "--failed", "--no-legend")).stdout).toBe("");
    },
    6 * minutes,
  );
});
