import { existsSync } from "node:fs";
import { join } from "node:path";
import { repository, systemPath } from "../harness/places.ts";
import { type Debian, usualDebian } from "./debian.ts";
import { LabHost } from "./lab-host.ts";
import { Namespaces } from "./namespaces.ts";

/** What is made of a Debian, once. */
const baseOf = ({ suite }: Debian) => join(repository, "test/.cache/lab", suite);

export interface LabOptions {
  /** Without nginx, supervisor and Python: what the agent's package depends on is only in apt's cache. */
  bare?: boolean;
  /** What the hosts are, if it is not the usual one. */
  debian?: Debian;
  /** They can be upgraded to this Debian: its packages are in apt's cache. */
  upgrade?: Debian;
  /** They have the distribution's servers of all stacks of test/fixtures/stacks. */
  stacks?: boolean;
}

/** Why there can be no lab on this machine; undefined where there can. */
export function labImpossible(debian = usualDebian()): string | undefined {
  if (process.getuid?.() !== 0) return "it needs root";
  const missing = ["systemd-nspawn", "debootstrap", "unshare", "nsenter", "ip"].filter((name) => !inPath(name));
  if (missing.length > 0) return `it needs ${missing.join(", ")}`;
  if (!existsSync(join(baseOf(debian), "complete"))) {
    return `the set-up has not made the base tree of Debian ${debian.version}`;
  }
  return undefined;
}

function inPath(name: string): boolean {
  return systemPath.split(":").some((directory) => existsSync(join(directory, name)));
}

/** Hosts with systemd in a network of their own: web1 at 192.0.2.11, web2 at 192.0.2.12 and so on. */
export class Lab implements AsyncDisposable {
  readonly namespaces: Namespaces;
  readonly hosts: LabHost[];
  /** A directory with Django, gunicorn and what they need, for the Python of these hosts. */
  readonly wheels: string;

  private constructor(namespaces: Namespaces, hosts: LabHost[], wheels: string) {
    this.namespaces = namespaces;
    this.hosts = hosts;
    this.wheels = wheels;
  }

  /** Returns when all are up. */
  static async start(count: number, options: LabOptions = {}): Promise<Lab> {
    const { bare = false, debian = usualDebian(), upgrade, stacks = false } = options;
    const namespaces = await Namespaces.open();
    const base = baseOf(debian);
    const more = [...(upgrade === undefined ? [] : [`to-${upgrade.suite}`]), ...(stacks ? ["stacks"] : [])];
    const layers = [...more, ...(bare ? [] : ["depends"]), "tree"];
    try {
      const hosts = Array.from({ length: count }, (_, index) => {
        return new LabHost(namespaces, `web${index + 1}`, `192.0.2.${11 + index}`);
      });
      await Promise.all(hosts.map((host) => host.create(layers.map((layer) => join(base, layer)))));
      await Promise.all(hosts.map((host) => host.boot()));
      return new Lab(namespaces, hosts, join(base, "wheels"));
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
