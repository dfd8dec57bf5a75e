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
  /** Told of each thing that is done, or with `dryRun` would be: a line for a person. */
  say(line: string): void;
}

/**
 * Makes this host one that has the agent as a service, as the Debian package does. Again: only what differs.
 * @throws CutoverError setup_impossible
 */
export async function setUp({ installation, dryRun, say }: SetupOptions): Promise<void> {
  await assertHost(installation, dryRun);
  const changed = await writeFiles({ installation, dryRun, say });
  const restart = changed.some((path) => path.startsWith(localPlaces.units));
  const steps: [what: string, words: string[]][] = [
    ["the user cutover-agent", ["systemd-sysusers", "cutover-agent.conf"]],
    ["the directories", ["systemd-tmpfiles", "--create", "cutover-agent.conf"]],
    ["systemd reads its units", ["systemctl", "daemon-reload"]],
    ["started now and at each boot", ["systemctl", "enable", "--now", helperSocketUnit, agentUnit]],
    ...(restart ? [["with its new unit", ["systemctl", "restart", agentUnit]] as [string, string[]]] : []),
  ];
  for (const [what, words] of steps) {
    say(`${dryRun ? "would run" : "run"}    ${words.join(" ")}   (${what})`);
    if (!dryRun) await run(words);
  }
}

/** @returns the paths of those that were not as they should be */
async function writeFiles({ installation, dryRun, say }: SetupOptions): Promise<string[]> {
  const changed: string[] = [];
  for (const { path, text, owners } of installedFiles(installation, localPlaces)) {
    const there = await readFile(path, "utf8").catch(() => undefined);
    if (there === text || (owners && there !== undefined)) {
      say(`as it is  ${path}`);
      continue;
    }
    changed.push(path);
    say(`${dryRun ? "would write" : "write"}  ${path}`);
    if (dryRun) continue;
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    await writeDurably(path, text, 0o644);
  }
  return changed;
}

async function assertHost({ node, programs, webGroup }: Installation, dryRun: boolean): Promise<void> {
  if (!dryRun && process.geteuid?.() !== 0) throw impossible("It writes units and starts services.", "Run it as root.");
  if (!(await exists("/run/systemd/system"))) {
    throw impossible(
      "This host was not started by systemd.",
      "Start cutover-agent by what starts services here, as root.",
    );
  }
  if (!(await exists("/run/dbus/system_bus_socket"))) {
    throw impossible(
      "This host has no system bus, by which systemd is asked to run steps.",
      "Install dbus, and start it.",
    );
  }
  if (await exists(`${packagePlaces.units}/${agentUnit}`)) {
    throw impossible(
      "The Debian package cutover-agent is installed, which has set this host up.",
      "Use `apt upgrade`.",
    );
  }
  const group = await runTool("getent", ["group", webGroup]);
  if (group.code !== 0) {
    throw impossible(`This host has no group ${webGroup}.`, "Name the group of nginx's workers with --web-group.");
  }
  for (const path of [node, programs]) await assertSafe(path);
}

/** What root runs must be root's, all the way up, and where units with ProtectHome= find it. */
async function assertSafe(path: string): Promise<void> {
  const real = await realpath(path);
  const fix = "Copy agent/dist to /opt/cutover and node to /usr/local/bin, as root, and run it from there.";
  if (/[\s%]/.test(real)) throw impossible(`${real} has a space or a % in it.`, fix);
  if (/^\/(home|root|tmp|var\/tmp|run\/user)\//.test(`${real}/`))
    throw impossible(`A service does not see ${real}.`, fix);
  for (let place = real; ; place = dirname(place)) {
    const { uid, mode } = await stat(place);
    if (uid !== 0 || (mode & 0o022) !== 0) throw impossible(`${place} can be written by others than root.`, fix);
    if (place === "/") return;
  }
}

async function run([program = "", ...words]: string[]): Promise<void> {
  const { code, stderr } = await runTool(program, words);
  if (code !== 0) {
    throw impossible(
      `\`${[program, ...words].join(" ")}\` ended with exit code ${code}: ${stderr.trim()}`,
      "Correct that, and run it again: it goes on from here.",
    );
  }
}

function impossible(what: string, fix: string): CutoverError {
  return new CutoverError("setup_impossible", what, { unchanged: "What was not told of above was not done.", fix });
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
