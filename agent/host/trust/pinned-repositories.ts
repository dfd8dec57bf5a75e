import { mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { CutoverError } from "../../../shared/errors.ts";
import { SerialQueue } from "../../../shared/serial-queue.ts";
import type { PinnedRepositories, PinnedRepository } from "../../contracts/token-stores.ts";
import { removeUnfinished, writeDurably } from "../store/durable.ts";

const id = z.string().regex(/^\d{1,20}$/);
const repositories = z.record(
  z.string(),
  z.array(
    z.strictObject({
      issuer: z.string(),
      repository: z.string(),
      repository_id: id,
      owner_id: id,
      learnt: z.iso.datetime(),
    }),
  ),
);
type Repositories = z.output<typeof repositories>;

/** One file for all apps, next to the used tokens: an app that was never deployed has no directory yet. */
export class PinnedRepositoriesFile implements PinnedRepositories {
  readonly #file: string;
  #all: Promise<Repositories> | undefined;
  readonly #queue = new SerialQueue();

  constructor(data: string) {
    this.#file = join(data, "learnt-repositories.json");
  }

  async list(app: string): Promise<PinnedRepository[]> {
    const all = await this.#load();
    return Object.hasOwn(all, app) ? (all[app] ?? []) : [];
  }

  pin(app: string, repository: PinnedRepository): Promise<PinnedRepository> {
    return this.#queue.run(async () => {
      const known = await this.list(app);
      const same = known.find((each) => each.issuer === repository.issuer && each.repository === repository.repository);
      if (same !== undefined) return same;
      await this.#save({ ...(await this.#load()), [app]: [...known, repository] });
      return repository;
    });
  }

  forget(app: string): Promise<void> {
    return this.#queue.run(async () => {
      const { [app]: gone, ...others } = await this.#load();
      if (gone !== undefined) await this.#save(others);
    });
  }

  async #save(all: Repositories): Promise<void> {
    await mkdir(dirname(this.#file), { recursive: true });
    await writeDurably(this.#file, `${JSON.stringify(all, null, 2)}\n`, 0o600);
    this.#all = Promise.resolve(all);
  }

  async #load(): Promise<Repositories> {
    this.#all ??= this.#read();
    try {
      return await this.#all;
    } catch (thrown) {
      this.#all = undefined;
      throw thrown;
    }
  }

  /** A file that cannot be read does not count as empty: then anybody who comes first would be pinned. */
  async #read(): Promise<Repositories> {
    await removeUnfinished(this.#file);
    try {
      return repositories.parse(JSON.parse(await readFile(this.#file, "utf8")));
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "ENOENT") return {};
      throw new CutoverError("host_settings_invalid", `${this.#file} cannot be read.`, {
        unchanged: "Nothing was changed.",
        fix: "Write `repository_id` and `owner_id` into the settings file of each app that trusts a repository by name, then remove this file.",
        cause,
      });
    }
  }
}
