import { access, mkdir, readFile, realpath, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { CutoverError } from "../../shared/errors.ts";
import { runTool } from "../host/exec/run-tool.ts";
import { writeDurably } from "../host/store/durable.ts";
import { installedFiles, localPlaces, packagePlaces } from "./files.ts";
import { agentUnit, helperSocketUnit, type Installation } from "./units.ts";

export interface SetupOptions {
  installation: Installation;
  dryRun: boolean;
  /** Called with a line for a person for each step that is done, or with `dryRun` would be done. */
  say(line: string): void;
}

/**
 * Installs the agent as a service on this host, as the Debian package does. A second run changes only what differs.
 * @throws CutoverError setup_impossible
 */
export async function setUp({ installation, dryRun, say }: SetupOptions): Promise<void> {
  await assertHost(installation, dryRun);
  const replaced = await writeFiles({ installation, dryRun, say });
  const isUpgrade = replaced.some((path) => path.startsWith(localPlaces.units));
  const steps: [what: string, words: string[]][] = [
    ["make the users cutover-agent and cutover-build", ["systemd-sysusers", "cutover-agent.conf"]],
    ["make the directories", ["systemd-tmpfiles", "--create", "cutover-agent.conf"]],
    // Before systemd reads a socket unit with another path, and closes the old one: the agent may still need its helper.
    ...upgrade(isUpgrade, "the agent stops at a safe point", ["systemctl", "stop", agentUnit]),
    ["systemd reads the new units", ["systemctl", "daemon-reload"]],
    ...upgrade(isUpgrade, "the helper listens by its new unit", ["systemctl", "restart", helperSocketUnit]),
    ["start them now and at each boot", ["systemctl", "enable", "--now", helperSocketUnit, agentUnit]],
  ];
  for (const [what, words] of steps) {
    say(`${dryRun ? "would run" : "run"}    ${words.join(" ")}   (${what})`);
    if (!dryRun) await run(words);
  }
}

function upgrade(isUpgrade: boolean, what: string, words: string[]): [what: string, words: string[]][] {
  return isUpgrade ? [[what, words]] : [];
}

/** @returns the paths of the files that were there with another text */
async function writeFiles({ installation, dryRun, say }: SetupOptions): Promise<string[]> {
  const replaced: string[] = [];
  for (const { path, text, owners } of installedFiles(installation, localPlaces)) {
    const there = await readFile(path, "utf8").catch(() => undefined);
    if (there === text || (owners && there !== undefined)) {
      say(`unchanged  ${path}`);
      continue;
    }
    if (there !== undefined) replaced.push(path);
    say(`${dryRun ? "would write" : "write"}  ${path}`);
    if (dryRun) continue;
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    await writeDurably(path, text, 0o644);
  }
  return replaced;
}

async function assertHost({ node, programs }: Installation, dryRun: boolean): Promise<void> {
  if (!dryRun && process.geteuid?.() !== 0)
    throw impossible("cutover setup writes units and starts services, so it must be root.", "Run it as root.");
  if (!(await exists("/run/systemd/system"))) {
    throw impossible(
      "This host was not started by systemd.",
      "Start cutover-agent as root, with the service manager of this host.",
    );
  }
  if (!(await exists("/run/dbus/system_bus_socket"))) {
    throw impossible(
      "This host has no D-Bus system bus. The agent needs it to let systemd run build steps.",
      "Install dbus, start it, then run `cutover setup` again.",
    );
  }
  if (await exists(`${packagePlaces.units}/${agentUnit}`)) {
    throw impossible(
      "The Debian package cutover-agent is installed. It has set this host up already.",
      "To get a newer version, run `apt upgrade`.",
    );
  }
  const lists = await runTool("setfacl", ["--version"]).catch(() => undefined);
  if (lists?.code !== 0) {
    throw impossible("This host has no setfacl, by which the agent may open the instances' sockets.", "Install acl.");
  }
  for (const path of [node, programs]) await assertSafe(path);
}

/** Programs that root runs must belong to root, and so must all their directories; units with ProtectHome= must see them. */
async function assertSafe(path: string): Promise<void> {
  const real = await realpath(path);
  const fix = "As root, copy agent/dist to /opt/cutover and node to /usr/local/bin, then run it from there.";
  if (/[\s%]/.test(real))
    throw impossible(`The path ${real} has a space or a %, which systemd units cannot hold.`, fix);
  if (/^\/(home|root|tmp|var\/tmp|run\/user)\//.test(`${real}/`))
    throw impossible(`The agent's service cannot see ${real}.`, fix);
  for (let place = real; ; place = dirname(place)) {
    const { uid, mode } = await stat(place);
    if (uid !== 0 || (mode & 0o022) !== 0) throw impossible(`Others than root can write to ${place}.`, fix);
    if (place === "/") return;
  }
}

async function run([program = "", ...words]: string[]): Promise<void> {
  const { code, stderr } = await runTool(program, words);
  if (code !== 0) {
    throw impossible(
      `\`${[program, ...words].join(" ")}\` ended with exit code ${code}: ${stderr.trim()}`,
      "Correct the cause, then run `cutover setup` again: it does only what is missing.",
    );
  }
}

function impossible(what: string, fix: string): CutoverError {
  return new CutoverError("setup_impossible", what, {
    unchanged: "Only the steps that are listed above were done.",
    fix,
  });
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
