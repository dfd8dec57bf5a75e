import { spawn } from "node:child_process";
import { parseArgs } from "node:util";
import { endOf } from "../harness/run.ts";
import { debian, usualDebian } from "./debian.ts";
import { labImpossible } from "./lab.ts";
import { LabFleet } from "./lab-fleet.ts";

/**
 * `npm run lab`: hosts with systemd and the agent's package come up, a shell on the first of them opens, and all of it is
 * gone when the shell ends. However this process ends, nothing is left.
 */
const { values } = parseArgs({
  options: {
    hosts: { type: "string", default: "3" },
    /** 12 or 13: what they are. */
    debian: { type: "string", default: usualDebian().version },
    /** Hosts without anything of cutover or of what it needs; the package is in /root. */
    bare: { type: "boolean", default: false },
  },
});

// Ctrl-C is for what runs in the shell.
process.on("SIGINT", () => undefined);

const release = debian(values.debian);
const reason = labImpossible(release);
if (reason !== undefined) throw new Error(`there can be no lab here: ${reason}`);
await using fleet = await LabFleet.start(Number(values.hosts), { bare: values.bare, debian: release });
const file = await fleet.package();
await Promise.all(fleet.hosts.map((host) => (values.bare ? fleet.copyPackage(host, file) : fleet.install(host, file))));
if (!values.bare) await Promise.all(fleet.hosts.map((host) => fleet.addShop(host)));
for (const host of fleet.hosts) {
  process.stdout.write(`${host.name}  ${host.address}  sudo ${host.inHost.join(" ")} bash\n`);
}
process.stdout.write(`the hosts' network: sudo ${fleet.lab.namespaces.inNetwork.join(" ")} bash\n`);
const [first] = fleet.hosts;
if (first !== undefined) {
  const [program = "", ...words] = first.inHost;
  const terminal = `TERM=${process.env.TERM ?? "dumb"}`;
  await endOf(spawn(program, [...words, terminal, "bash", "--login"], { stdio: "inherit" }));
}
