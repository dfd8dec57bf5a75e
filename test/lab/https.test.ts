import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Pebble } from "../harness/pebble.ts";
import { describeLab } from "./describe-lab.ts";
import { LabFleet, siteName } from "./lab-fleet.ts";
import type { LabHost } from "./lab-host.ts";

const minutes = 60_000;

/** The commands of "A host, step by step" in agent/README.md, as they stand there. */
function documented(): string[] {
  const page = readFileSync("agent/README.md", "utf8");
  const section = page.split("## A host, step by step\n")[1]?.split("\n## ")[0] ?? "";
  const blocks = [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, text = ""]) => text.replaceAll("\\\n", " "));
  return blocks.flatMap((text) => text.split("\n").map((line) => line.replace(/\s+#.*$/, "").trim())).filter(Boolean);
}

describeLab("a bare host, by the docs, from nothing to https", () => {
  let fleet: LabFleet;
  let pebble: Pebble;
  const host = () => fleet.hosts[0] as LabHost;

  beforeAll(async () => {
    fleet = await LabFleet.start(1, { bare: true });
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
  });

  test(
    "each command works as it stands, one deploy is made, and https comes by itself and stays over a reboot",
    async () => {
      const commands = documented();
      expect(commands.map((command) => command.split(" ").slice(0, 2).join(" "))).toEqual([
        ...["apt install", "useradd --system", "systemctl restart", "cutover app"],
      ]);
      // The package lies where the person is who types this. The lab's agent speaks plain HTTP, and knows the lab's pebble.
      const file = await fleet.copyPackage(host(), await fleet.package());
      await host().write("/etc/cutover-lab-authority.pem", readFileSync(pebble.settings.ca));
      for (const command of commands) {
        if (command.startsWith("systemctl")) {
          await fleet.writeAgentYml(host(), {
            acme: { directory: pebble.settings.directory, ca: "/etc/cutover-lab-authority.pem" },
          });
        }
        const typed = command.replace(/\.\/cutover-agent_\S+\.deb/, `-y ${file}`);
        await host().check("sh", "-c", typed);
      }
      expect(await host().check("cutover", "tls", "status")).toContain("waits for its first deploy");
      const { exitCode, stdout } = await fleet.deploy({ version: "v1", config: { watch: "1s" } });
      expect(exitCode, stdout).toBe(0);
      await expect
        .poll(() => host().check("cutover", "tls", "status"), { timeout: minutes, interval: 1000 })
        .toMatch(/shop\.example\.com +valid +Pebble/);
      expect(await fleet.get(host(), "/version")).toMatchObject({ status: 301 });
      const doctor = await host().run("cutover", "doctor");
      expect(doctor.stdout).not.toMatch(/tls-auto|certificates/);
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
    5 * minutes,
  );
});
