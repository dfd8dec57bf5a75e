import { relative } from "node:path";
import type { BuildContext, Environments } from "../../contracts/ports.ts";
import { effect } from "../../effects.ts";
import { pointSymlink } from "../store/durable.ts";
import { appLayout } from "../store/layout.ts";
import { linkBytecode } from "./bytecode.ts";
import type { EnvironmentBuilder } from "./environments.ts";

export interface ReleaseEnvironmentsOptions {
  data: string;
  /** How many compilers may run at once. */
  jobs: number;
  /** In this process, or in the helper. */
  builder: EnvironmentBuilder;
}

/**
 * Builds environments, and adds to releases the link to theirs and the bytecode of their own files. These are the agent's,
 * whoever builds: root writes nothing into a directory of another user.
 */
export class ReleaseEnvironments implements Environments {
  readonly #options: ReleaseEnvironmentsOptions;

  constructor(options: ReleaseEnvironmentsOptions) {
    this.#options = options;
  }

  async build(context: BuildContext): Promise<{ key: string; reused: boolean }> {
    const { data, jobs, builder } = this.#options;
    const { app, manifest, signal } = context;
    const { cacheTag, ...built } = await builder.build(context);
    const layout = appLayout(data, app);
    const link = relative(layout.release(manifest.release), layout.venv(built.key));
    await effect("environment.link", () => pointSymlink(layout.releaseVenv(manifest.release), link));
    const compile = builder.compile.bind(builder);
    await effect("environment.bytecode", () => linkBytecode({ manifest, layout, cacheTag, jobs, compile, signal }));
    return built;
  }

  present(app: string, release: string): Promise<boolean> {
    return this.#options.builder.present(app, release);
  }

  prune(app: string, keptReleases: string[]): Promise<void> {
    return this.#options.builder.prune(app, keptReleases);
  }
}
