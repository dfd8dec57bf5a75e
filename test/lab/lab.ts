import { existsSync } from "node:fs";
import { join } from "node:path";
import { repository, systemPath } from "../harness/places.ts";
import { LabHost } from "./lab-host.ts";
import { Namespaces } from "./namespaces.ts";

const base = join(repository, "test/.cache/lab");

/** Why there can be no lab on this machine; undefined where there can. */
export function labImpossible(): string | undefined {
  if (process.getuid?.() !== 0) return "it needs root";
  const missing = ["systemd-nspawn", "debootstrap", "unshare", "nsenter", "ip"].filter((name) => !inPath(name));
  if (missing.length > 0) return `it needs ${missing.join(", ")}`;
  if (!existsSync(join(base, "complete"))) return "the set-up could not make the hosts' base tree";
  return undefined;
}

function inPath(name: string): boolean {
  return systemPath.split(":").some((directory) => existsSync(join(directory, name)));
}

/** Hosts with systemd in a network of their own: web1 at 192.0.2.11, web2 at 192.0.2.12 and so on. */
export class Lab implements AsyncDisposable {
  readonly namespaces: Namespaces;
  readonly hosts: LabHost[];

  private constructor(namespaces: Namespaces, hosts: LabHost[]) {
    this.namespaces = namespaces;
    this.hosts = hosts;
  }

  /**
   * Returns when all are up.
   * @param bare without nginx, supervisor and Python: what the agent's package depends on is only in apt's cache
   */
  static async start(count: number, { bare = false } = {}): Promise<Lab> {
    const namespaces = await Namespaces.open();
    const tree = join(base, "tree");
    try {
      const hosts = Array.from({ length: count }, (_, index) => {
        return new LabHost(namespaces, `web${index + 1}`, `192.0.2.${11 + index}`);
      });
      await Promise.all(hosts.map((host) => host.create(bare ? [tree] : [join(base, "depends"), tree])));
      await Promise.all(hosts.map((host) => host.boot()));
      return new Lab(namespaces, hosts);
    } catch (error) {
      await namespaces[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** @throws Error where there is no such host */
  host(name: string): LabHost {
    const found = this.hosts.find((host) => host.name === name);
    if (found === undefined) throw new Error(`the lab has no host ${name}`);
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.namespaces[Symbol.asyncDispose]();
  }
}
