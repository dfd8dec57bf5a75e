import { existsSync } from "node:fs";
import { chmod, lstat, mkdir, rm } from "node:fs/promises";
import { isIPv4, isIPv6 } from "node:net";
import { join } from "node:path";
import { CutoverError } from "../../../shared/errors.ts";
import type { MaintenanceView } from "../../../shared/protocol.ts";
import { SerialQueue } from "../../../shared/serial-queue.ts";
import type { Maintenance } from "../../contracts/ports.ts";
import { effect } from "../../effects.ts";
import { syncDirectory, writeDurably } from "../store/durable.ts";
import { appLayout } from "../store/layout.ts";
import { listSafely } from "../store/safe-read.ts";

/**
 * Maintenance as files that nginx looks for at each request: `on`, and one in `allow/` for each address that is let through,
 * in nginx's notation.
 */
export class MaintenanceFiles implements Maintenance {
  readonly #data: string;
  /** One change of an app at a time: two at once would remove each other's files. */
  readonly #queues = new Map<string, SerialQueue>();

  /** @param data the agent's data directory */
  constructor(data: string) {
    this.#data = data;
  }

  async state(app: string): Promise<MaintenanceView | undefined> {
    const { home, on, allow } = this.#files(app);
    const since = await lstat(on).then(
      ({ mtime }) => mtime.toISOString(),
      () => undefined,
    );
    if (since === undefined) return undefined;
    const names = await listSafely(home, allow);
    return { since, allow: names.filter((name) => !name.startsWith(mapped)).toSorted() };
  }

  /** If it fails, an open site stays open, and no file is left. */
  begin(app: string, allow: string[]): Promise<MaintenanceView> {
    return this.#inTurn(app, () => this.#begin(app, allow));
  }

  /** Also removes what an interrupted begin or end left of an open site. */
  end(app: string): Promise<void> {
    return this.#inTurn(app, () => this.#end(app));
  }

  #inTurn<T>(app: string, work: () => Promise<T>): Promise<T> {
    const queue = this.#queues.get(app) ?? new SerialQueue();
    this.#queues.set(app, queue);
    return queue.run(work);
  }

  async #begin(app: string, allow: string[]): Promise<MaintenanceView> {
    const { directory } = this.#files(app);
    const open = (await this.state(app)) === undefined;
    try {
      await this.#allow(app, allow);
      // Last, so that allowed visitors get through from the first moment on.
      if (open) await effect("maintenance.begin", () => writeDurably(this.#files(app).on, "", 0o644));
    } catch (thrown) {
      if (open) await rm(directory, { recursive: true, force: true });
      throw thrown;
    }
    const view = await this.state(app);
    if (view === undefined) throw new CutoverError("internal", `Something has removed the maintenance file of ${app}.`);
    return view;
  }

  async #allow(app: string, allow: string[]): Promise<void> {
    const files = this.#files(app);
    const names = new Set(allow.flatMap(namesOf));
    await effect("maintenance.allow", async () => {
      await mkdir(files.allow, { recursive: true });
      // nginx's workers must pass through, whatever the umask is.
      for (const directory of [files.directory, files.allow]) await chmod(directory, 0o755);
      for (const name of names) await writeDurably(join(files.allow, name), "", 0o644);
      for (const name of await listSafely(files.home, files.allow))
        if (!names.has(name)) await rm(join(files.allow, name));
    });
  }

  async #end(app: string): Promise<void> {
    const { directory, on } = this.#files(app);
    if ((await this.state(app)) !== undefined) {
      // First, so that the site is open even if the rest is not done.
      await effect("maintenance.end", () => rm(on, { force: true }));
      await syncDirectory(directory);
    }
    if (existsSync(directory)) {
      await effect("maintenance.remove", () => rm(directory, { recursive: true, force: true }));
    }
  }

  #files(app: string) {
    const { home, maintenance: directory } = appLayout(this.#data, app);
    return { home, directory, on: join(directory, "on"), allow: join(directory, "allow") };
  }
}

/** The prefix of an IPv4 visitor on an address for both IPv4 and IPv6. */
const mapped = "::ffff:";

/** All ways in which nginx may write an address in $remote_addr. @throws CutoverError request_invalid */
function namesOf(address: string): string[] {
  const text = address.toLowerCase();
  const inner = text.startsWith(mapped) ? text.slice(mapped.length) : text;
  if (isIPv4(inner)) return [inner, `${mapped}${inner}`];
  // nginx never writes an address with a zone (fe80::1%eth0).
  if (isIPv6(text) && !text.includes("%")) return [new URL(`http://[${text}]`).hostname.slice(1, -1)];
  throw new CutoverError("request_invalid", `${JSON.stringify(address)} is no IP address.`, {
    unchanged: "Nothing was changed: the site is as open or closed as before.",
    fix: "Give the address of a visitor as nginx sees it, such as 203.0.113.7 or 2001:db8::7.",
  });
}
