import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { cp, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import type { z } from "zod";
import { readConfig } from "../../action/project/config.ts";
import { pathOf } from "../../shared/call.ts";
import type { configSchema } from "../../shared/config.ts";
import { calls, type DeploymentView } from "../../shared/protocol.ts";
import { finished } from "../harness/deploy.ts";
import { packProject } from "../harness/pack.ts";
import { Scratch } from "../harness/scratch.ts";
import type { LabHost } from "./lab-host.ts";

const source = fileURLToPath(new URL("../torture/app", import.meta.url));

export interface Packed {
  release: string;
  file: string;
}

/** An app that needs no packages and starts at once, for tests of what happens to its host. */
export class SmallApp implements AsyncDisposable {
  readonly #scratch = new Scratch("lab-app");

  /** A new release, in a bundle. @param more files of the project, by path @param change of its configuration */
  async pack(more: Record<string, string> = {}, change: Partial<z.input<typeof configSchema>> = {}): Promise<Packed> {
    const directory = join(this.#scratch.path, "project");
    await cp(source, directory, { recursive: true });
    const server = { kind: "command", command: "python app.py {socket}", instances: 2 } as const;
    const config: z.input<typeof configSchema> = {
      ...{ app: "shop", server, python: { wheels: "none" }, keep: 3, keep_warm: "0s", watch: "0s" },
      ...{ release: { command: "python -c pass" }, health: { path: "/", timeout: "30s" }, ...change },
    };
    for (const [path, text] of Object.entries(more)) {
      await mkdir(dirname(join(directory, path)), { recursive: true });
      await writeFile(join(directory, path), text);
    }
    await writeFile(join(directory, "cutover.yml"), stringify(config));
    const { bundle, manifest } = await packProject({
      config: (await readConfig(directory, "cutover.yml")).config,
      ...{ directory, wheels: [], made: new Date(), repository: "", commit: randomBytes(20).toString("hex") },
      ...{ into: this.#scratch.path, signal: new AbortController().signal },
    });
    return { release: manifest.release, file: bundle };
  }

  /** Brings a bundle to a host by its agent's admin socket. @returns how it ended, whichever way */
  send(host: LabHost, { file }: Packed): Promise<DeploymentView> {
    const agent = { directory: host.runningPath("/run/cutover") };
    return finished(agent, pathOf(calls.deploy, { app: "shop" }, { activate: true }), createReadStream(file));
  }

  /** @throws Error unless it succeeds */
  async deploy(host: LabHost): Promise<string> {
    const packed = await this.pack();
    const { outcome, failure } = await this.send(host, packed);
    if (outcome !== "succeeded") throw new Error(`${packed.release} ${outcome}: ${failure?.code} ${failure?.detail}`);
    return packed.release;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scratch[Symbol.asyncDispose]();
  }
}
