import { mkdir, readdir, readlink, rm, symlink } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { CutoverError } from "../../../shared/errors.ts";
import type { Share, Traffic } from "../../ports.ts";
import { pointSymlink, syncDirectory } from "../durable.ts";
import { appLayout } from "../layout.ts";
import { listIfThere } from "../optional-file.ts";

export const slotCount = 60;

export function slotName(slot: number): string {
  return String(slot).padStart(2, "0");
}

/**
 * The socket of each slot. Shares lie one after the other on a fixed permutation of the slots, so each is spread over all
 * of them, and one that grows at the cost of the share before it only takes slots: with ip_hash no visitor goes back.
 * @throws CutoverError internal unless the shares take all slots
 */
export function slotSockets(shares: Share[]): string[] {
  const sum = shares.reduce((total, { slots }) => total + slots, 0);
  if (sum !== slotCount || shares.some(({ slots, instances }) => slots < 0 || (slots > 0 && instances.length === 0))) {
    throw new CutoverError("internal", `Shares of the traffic must take ${slotCount} slots, and take ${sum}.`);
  }
  const sockets = new Array<string>(slotCount).fill("");
  let place = 0;
  for (const { slots, instances } of shares) {
    for (const end = place + slots; place < end; place++) {
      // By the place and not by a count inside the share: so a slot keeps its instance while shares grow and shrink.
      sockets[(place * 37) % slotCount] = instances[place % instances.length]?.socket ?? "";
    }
  }
  return sockets;
}

/** What slots point at before a first release: nothing. nginx answers 502 then. */
const nowhere = "none";

/** Moves traffic by one rename of the symlink `slots`; nginx is not told. */
export class Slots implements Traffic {
  readonly #data: string;

  /** @param data the agent's data directory */
  constructor(data: string) {
    this.#data = data;
  }

  async prepare(app: string): Promise<void> {
    const { home, run } = appLayout(this.#data, app);
    await mkdir(home, { recursive: true });
    if ((await this.#current(app)) === undefined) {
      await this.#point(app, new Array<string>(slotCount).fill(join(run, nowhere)));
    }
  }

  async assign(app: string, shares: Share[]): Promise<void> {
    const sockets = slotSockets(shares);
    const now = await this.#sockets(app);
    if (now.length === slotCount && now.every((socket, slot) => socket === sockets[slot])) return;
    await this.#point(app, sockets);
  }

  async assigned(app: string): Promise<Map<string, number>> {
    const { run } = appLayout(this.#data, app);
    const counts = new Map<string, number>();
    for (const socket of await this.#sockets(app)) {
      if (socket !== undefined && socket !== join(run, nowhere)) counts.set(socket, (counts.get(socket) ?? 0) + 1);
    }
    return counts;
  }

  /** At once: nginx follows the link at each connect. */
  async settled(_app: string, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
  }

  async tidy(app: string): Promise<void> {
    const { home } = appLayout(this.#data, app);
    const current = await this.#current(app);
    for (const name of await listIfThere(home)) {
      if (/^slots\.(?:\d+|tmp)$/.test(name) && name !== current)
        await rm(join(home, name), { recursive: true, force: true });
    }
  }

  /** The name of the directory in use, or undefined before the first. */
  async #current(app: string): Promise<string | undefined> {
    try {
      return await readlink(appLayout(this.#data, app).slots);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }

  /** The socket that each slot points at. */
  async #sockets(app: string): Promise<(string | undefined)[]> {
    const { home } = appLayout(this.#data, app);
    const current = await this.#current(app);
    if (current === undefined) return [];
    const directory = resolve(home, current);
    return Promise.all(
      Array.from({ length: slotCount }, async (_, slot) => {
        const target = await readlink(join(directory, slotName(slot))).catch(() => undefined);
        return target === undefined ? undefined : resolve(directory, target);
      }),
    );
  }

  async #point(app: string, sockets: string[]): Promise<void> {
    const { home, slots } = appLayout(this.#data, app);
    const numbers = (await readdir(home)).map((name) => Number(/^slots\.(\d+)$/.exec(name)?.[1] ?? 0));
    const name = `slots.${Math.max(0, ...numbers) + 1}`;
    const directory = join(home, name);
    await mkdir(directory, { mode: 0o755 });
    await Promise.all(
      sockets.map((socket, slot) => symlink(relative(directory, socket), join(directory, slotName(slot)))),
    );
    await syncDirectory(directory);
    await pointSymlink(slots, name);
    await syncDirectory(home);
  }
}
