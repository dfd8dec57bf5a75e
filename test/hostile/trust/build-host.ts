import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { SmallDisk } from "../../e2e/bad-disk.ts";
import type { FileInput } from "../../fixtures/bundle.ts";
import { type Answer, HelperHost, type Talk } from "../../harness/helper-host.ts";
import { repository } from "../../harness/places.ts";

/** A host with two processes and two apps, whose repositories do what they like while they are built. */
export class BuildHost implements AsyncDisposable {
  readonly host: HelperHost;
  talk: Talk;

  readonly #disk: SmallDisk | undefined;

  private constructor(host: HelperHost, disk: SmallDisk | undefined) {
    this.host = host;
    this.#disk = disk;
    this.talk = host.talk();
  }

  /** @param disk bytes of a disk of its own for its data */
  static async open(disk?: number): Promise<BuildHost> {
    const host = await HelperHost.open({ limits: { environment_files: 5000 } });
    const small = disk === undefined ? undefined : SmallDisk.mount(host.data, { bytes: disk, files: 100_000 });
    const builds = new BuildHost(host, small);
    for (const app of ["shop", "other"]) await builds.talk.done("prepareApp", { app });
    return builds;
  }

  /** A release whose requirements are a project with this code in its build backend: `run(step)` is called at each step. */
  unpack(release: string, evil: string, more: Record<string, FileInput> = {}, app = "shop"): Promise<string> {
    return this.host.unpack({
      ...{ app, release, config: { python: { wheels: "index" } } },
      files: {
        "app/requirements.txt": "--no-index\n./kit\n",
        "app/kit/pyproject.toml":
          '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n[project]\nname = "kit"\nversion = "1"\n',
        "app/kit/backend.py": trustSource("backend.py"),
        "app/kit/evil.py": evil,
        ...more,
      },
    });
  }

  build(release: string, app = "shop"): Promise<Answer> {
    return this.talk.ask("buildEnvironment", { app, release });
  }

  /** The environment of the app, if it has one alone. */
  get environment(): string {
    const [key = "", ...more] = this.environments();
    expect(more).toEqual([]);
    return this.host.layout().venv(key);
  }

  environments(): string[] {
    return readdirSync(this.host.layout().venvs);
  }

  /** Nothing of a build is left where root keeps it, and nothing is mounted. */
  expectNothingLeft(): void {
    for (const app of ["shop", "other"]) {
      const { build } = this.host.layout(app);
      expect(existsSync(build) ? readdirSync(build) : []).toEqual([]);
    }
    expect(readFileSync("/proc/self/mounts", "utf8")).not.toContain(this.host.directory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disk?.[Symbol.dispose]();
    await this.host[Symbol.asyncDispose]();
  }
}

/** A file of this folder. */
export function trustSource(name: string): string {
  return readFileSync(join(repository, "test/hostile/trust", name), "utf8");
}
