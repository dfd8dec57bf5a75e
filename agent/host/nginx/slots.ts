import { mkdir, readdir, readlink, rm, symlink } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import type { Protocol } from "../../../shared/config-server.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { slotCount } from "../../../shared/slots.ts";
import type { Share } from "../../contracts/ports.ts";
import { effect } from "../../effects.ts";
import { pointSymlink, syncDirectory } from "../store/durable.ts";
import { appLayout } from "../store/layout.ts";
import { listIfExists } from "../store/read-if-exists.ts";

export function slotName(slot: number): string {
  return String(slot).padStart(2, "0");
}

/**
 * The address of each slot. Shares follow each other on a fixed permutation of the slots, so each is spread over all of them.
 * The instances of a share differ by at most one slot. So with 31 to 59 instances some get twice as much as others; with more
 * instances than slots in a share, some get nothing.
 * A share that grows at the cost of the one before it only takes slots: with ip_hash no visitor goes back.
 * @throws CutoverError internal unless the shares have all slots together
 */
export function slotAddresses(shares: Share[]): string[] {
  const sum = shares.reduce((total, { slots }) => total + slots, 0);
  if (sum !== slotCount || shares.some(({ slots, instances }) => slots < 0 || (slots > 0 && instances.length === 0))) {
    throw new CutoverError("internal", `Shares of the traffic must take ${slotCount} slots, and take ${sum}.`);
  }
  const addresses = new Array<string>(slotCount).fill("");
  let place = 0;
  for (const { slots, instances } of shares) {
    for (const end = place + slots; place < end; place++) {
      // By the place, not by a count inside the share: so a slot keeps its instance while shares grow and shrink.
      addresses[(place * 37) % slotCount] = instances[place % instances.length]?.address ?? "";
    }
  }
  return addresses;
}

/**
 * The link to a directory of slots. The protocol is part of its name: if a release speaks another protocol than the previous
 * one, one reload changes nginx's protocol and the link together.
 */
export type SlotLink = "slots" | "slots-uwsgi" | "preview" | "preview-uwsgi";

export function slotLink(upstream: "main" | "preview", protocol: Protocol): SlotLink {
  const name = upstream === "main" ? "slots" : "preview";
  return protocol === "http" ? name : `${name}-${protocol}`;
}

/** Where the links of all slots lead while nginx is given its new upstreams, and after that. */
export interface LinkTargets {
  meanwhile: string[];
  then: string[];
}

/**
 * A link that nginx uses already keeps its socket until nginx has its new upstreams, so that a refusal moves nobody. A link
 * that it is about to use leads to its new socket before: what it led to until now had fewer slots, such as a canary, or none.
 * @param now where the links lead; empty if there are none
 * @param wanted the socket of each slot; undefined where a port has it
 * @param used the slots whose links nginx uses now
 * @returns undefined if no slot wants a socket
 */
export function linkTargets(
  now: (string | undefined)[],
  wanted: (string | undefined)[],
  used: Set<number>,
): LinkTargets | undefined {
  // A slot that is a port today may be a link tomorrow, so its link leads to some socket too.
  const any = wanted.find((socket) => socket !== undefined);
  if (any === undefined) return undefined;
  const then = wanted.map((socket, slot) => socket ?? now[slot] ?? any);
  return { then, meanwhile: then.map((socket, slot) => (used.has(slot) ? (now[slot] ?? socket) : socket)) };
}

/** The slots whose links are among the servers of an upstream. @param base what the addresses of these links begin with */
export function slotsOf(servers: string[], base: string): Set<number> {
  return new Set(
    servers.filter((server) => server.startsWith(base)).map((server) => Number(server.slice(base.length))),
  );
}

/** The directories of slots, each with 60 symlinks to sockets, and the symlink to the directory in use. */
export class SlotLinks {
  readonly #data: string;

  /** @param data the agent's data directory */
  constructor(data: string) {
    this.#data = data;
  }

  path(app: string, link: SlotLink): string {
    return join(appLayout(this.#data, app).home, link);
  }

  /**
   * Makes a directory whose slots lead to these sockets. Nothing changes for visitors until the returned function is called,
   * which puts the directory in use by one rename.
   */
  async prepare(app: string, link: SlotLink, sockets: string[]): Promise<() => Promise<void>> {
    const { home } = appLayout(this.#data, app);
    const numbers = (await readdir(home)).map((name) => Number(numbered(link).exec(name)?.[1] ?? 0));
    const name = `${link}.${Math.max(0, ...numbers) + 1}`;
    const directory = join(home, name);
    await effect("slots.prepare", async () => {
      await mkdir(directory, { mode: 0o755 });
      await Promise.all(
        sockets.map((socket, slot) => symlink(relative(directory, socket), join(directory, slotName(slot)))),
      );
      await syncDirectory(directory);
    });
    return async () => {
      await effect("slots.swap", () => pointSymlink(join(home, link), name), link);
      await syncDirectory(home);
    };
  }

  /** The socket that each slot leads to; empty if there are no slots yet. */
  async sockets(app: string, link: SlotLink): Promise<(string | undefined)[]> {
    const { home } = appLayout(this.#data, app);
    const current = await this.#current(app, link);
    if (current === undefined) return [];
    const directory = resolve(home, current);
    return Promise.all(
      Array.from({ length: slotCount }, async (_, slot) => {
        const target = await readlink(join(directory, slotName(slot))).catch(() => undefined);
        return target === undefined ? undefined : resolve(directory, target);
      }),
    );
  }

  /** Removes directories that are not in use. */
  async tidy(app: string): Promise<void> {
    const { home } = appLayout(this.#data, app);
    for (const link of ["slots", "slots-uwsgi", "preview", "preview-uwsgi"] as const) {
      const current = await this.#current(app, link);
      for (const name of await listIfExists(home)) {
        if (name === current || !(numbered(link).test(name) || name === `${link}.tmp`)) continue;
        await effect("slots.tidy", () => rm(join(home, name), { recursive: true, force: true }), name);
      }
    }
  }

  /** The name of the directory in use; undefined if there is none yet. */
  async #current(app: string, link: SlotLink): Promise<string | undefined> {
    try {
      return await readlink(this.path(app, link));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }
}

function numbered(link: SlotLink): RegExp {
  return new RegExp(`^${link}\\.(\\d+)$`);
}
