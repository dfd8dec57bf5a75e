import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isRunning, type ProcessId, processId, waitForEnd } from "../harness/processes.ts";
import { endOf, type Finished, runProgram } from "../harness/run.ts";
import { descendantNamed, type Namespaces } from "./namespaces.ts";

/** What a shell in a host finds. */
const environment = {
  PATH: "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  LANG: "C.UTF-8",
  HOME: "/root",
  DEBIAN_FRONTEND: "noninteractive",
};

/** One host of the lab: a Debian with systemd as its first process, an address of its own, and its own files. */
export class LabHost {
  readonly name: string;
  readonly address: string;
  readonly #lab: Namespaces;
  readonly #directory: string;
  #nspawn: ChildProcess | undefined;
  #ended: Promise<number> = Promise.resolve(0);
  #init: ProcessId | undefined;
  #console = "";

  constructor(lab: Namespaces, name: string, address: string) {
    this.#lab = lab;
    this.name = name;
    this.address = address;
    this.#directory = join(lab.directory, name);
  }

  /** Makes its files. @param base trees that it starts from, the uppermost first */
  async create(base: string[]): Promise<void> {
    const [upper, work, root] = ["upper", "work", "root"].map((name) => join(this.#directory, name));
    await this.#inside("mkdir", "-p", upper ?? "", work ?? "", root ?? "");
    const options = `lowerdir=${base.join(":")},upperdir=${upper},workdir=${work}`;
    await this.#inside("mount", "-t", "overlay", "-o", options, "overlay", root ?? "");
    await this.write("/etc/hostname", `${this.name}\n`);
    await this.write("/etc/systemd/network/10-lab.network", network(this.address));
    const wanted = this.path("/etc/systemd/system/multi-user.target.wants");
    await mkdir(wanted, { recursive: true });
    await symlink("/lib/systemd/system/systemd-networkd.service", join(wanted, "systemd-networkd.service"));
  }

  /** Returns when systemd has come to the end of the boot. @throws Error with the console when it does not in a minute */
  async boot(): Promise<void> {
    const { inside, cgroups } = this.#lab;
    // Hosts must not share a cgroup: the systemd of one would take the programs of another for its own.
    const join_ =
      'n=$1 k=$2; shift 2; while [ $k -gt 0 ]; do mkdir -p "$1/$n"; echo $$ >"$1/$n/cgroup.procs"; shift; k=$((k-1)); done; exec "$@"';
    const nspawn = ["systemd-nspawn", "--directory", join(this.#directory, "root"), "--boot", `--machine=${this.name}`];
    const options = ["--register=no", "--keep-unit", "--link-journal=no", "--network-bridge=lab0", "--console=passive"];
    const cgroup = [this.name, String(cgroups.length), ...cgroups];
    const child = spawn("sh", ["-c", join_, "sh", ...cgroup, ...inside, ...nspawn, ...options], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#nspawn = child;
    this.#ended = endOf(child);
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.#console += text;
      });
    }
    await this.#booted();
  }

  async #booted(): Promise<void> {
    const deadline = performance.now() + 60_000;
    while (performance.now() < deadline) {
      await sleep(100);
      const init = descendantNamed(this.#nspawn?.pid ?? 0, "systemd");
      if (init === undefined) {
        if (this.#nspawn?.exitCode !== null) break;
        continue;
      }
      this.#init = processId(init);
      const { stdout } = await this.run("systemctl", "is-system-running");
      if (["running", "degraded"].includes(stdout.trim())) return;
    }
    throw new Error(`${this.name} did not boot:\n${this.#console}`);
  }

  /** Its systemd, as this machine counts. @throws Error when it is off */
  get firstProcess(): number {
    if (this.#init === undefined) throw new Error(`${this.name} is not up`);
    return this.#init.pid;
  }

  get running(): boolean {
    return this.#init !== undefined && isRunning(this.#init);
  }

  /** Words to put before a command that is to run in this host. */
  get inHost(): string[] {
    const env = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    return ["nsenter", "-a", "-t", String(this.firstProcess), "--", "env", "-i", ...env];
  }

  /** Runs a command in the host to its end, whatever its exit code. */
  run(...argv: string[]): Promise<Finished> {
    return runProgram([...this.inHost, ...argv]);
  }

  /** The same, and gives what it printed. @throws Error with all its output when its exit code is not 0 */
  async check(...argv: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(...argv);
    if (code !== 0) throw new Error(`${this.name}: ${argv.join(" ")} ended with ${code}:\n${stdout}${stderr}`);
    return stdout;
  }

  /** A file of the host as this machine reaches it, also while the host is off. Not through absolute symlinks. */
  path(file: string): string {
    return join(`/proc/${this.#lab.pid}/root`, this.#directory, "root", file);
  }

  /** The same as its own processes see it: with /run, and only while it is up. */
  runningPath(file: string): string {
    return join(`/proc/${this.firstProcess}/root`, file);
  }

  read(file: string): Promise<string> {
    return readFile(this.path(file), "utf8");
  }

  async write(file: string, text: string | Buffer): Promise<void> {
    await mkdir(dirname(this.path(file)), { recursive: true });
    await writeFile(this.path(file), text);
  }

  /** As an operator would, and waits until it is up again. */
  async reboot(): Promise<void> {
    await this.shutDown();
    await this.boot();
  }

  /** The first half of a reboot: returns when it is off. */
  async shutDown(): Promise<void> {
    await this.run("systemctl", "reboot");
    await this.#off();
  }

  /** As when its power goes: all of its processes are killed at once, and its files stay as they are. */
  async powerOff(): Promise<void> {
    if (this.#init !== undefined && this.running) process.kill(this.#init.pid, "SIGKILL");
    await this.#off();
  }

  async #off(): Promise<void> {
    if (this.#init !== undefined) await waitForEnd([this.#init], 60_000);
    await this.#ended;
    this.#init = undefined;
    this.#console = "";
  }

  /** Nothing that it sends arrives any more, and it is told nothing of that. */
  async cutNetwork(): Promise<void> {
    await this.#inside("ip", "link", "set", `vb-${this.name}`, "nomaster");
  }

  async joinNetwork(): Promise<void> {
    await this.#inside("ip", "link", "set", `vb-${this.name}`, "master", "lab0");
  }

  async #inside(...argv: string[]): Promise<void> {
    const { code, stderr } = await runProgram([...this.#lab.inside, ...argv]);
    if (code !== 0) throw new Error(`${this.name}: ${argv.join(" ")} ended with ${code}: ${stderr}`);
  }
}

function network(address: string): string {
  return `[Match]
Name=host0

[Network]
Address=${address}/24
LinkLocalAddressing=no
IPv6AcceptRA=no
`;
}
