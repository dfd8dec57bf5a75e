import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { BuildContext } from "../../../../agent/contracts/ports.ts";
import { ReleaseDirectories } from "../../../../agent/host/bundle/releases.ts";
import { runStep, type StepRequest } from "../../../../agent/host/exec/step.ts";
import { PythonEnvironments } from "../../../../agent/host/python/environments.ts";
import { ReleaseEnvironments } from "../../../../agent/host/python/release-environments.ts";
import { appLayout } from "../../../../agent/host/store/layout.ts";
import { type BundleInput, makeBundle } from "../../../fixtures/bundle.ts";
import { makeWheel } from "../../../fixtures/wheel.ts";
import { scratch } from "../scratch.ts";

export const first = "20261121T103000Z-3f2c1ab";
export const second = "20261121T104000Z-3f2c1ac";
export const greeting = makeWheel("greeting_kit", "1.2.0", "WORD = 'good day'\n");

export function host(pythonPath = ["/usr/local/bin", "/usr/bin", "/bin"]) {
  const data = scratch();
  const layout = appLayout(data, "shop");
  const releases = new ReleaseDirectories({ data, limits: { bundle: 1e9, free: 0 } });
  const steps: StepRequest[] = [];
  const builder = new PythonEnvironments({
    data,
    pythonPath,
    runStep: (_app, step) => {
      steps.push(step);
      return runStep(step);
    },
    // Without another user builds are made in place.
    owner: { scratch: async () => undefined, clear: async () => undefined },
    limits: { bytes: 1e9, files: 10_000 },
  });
  const environments = new ReleaseEnvironments({ data, jobs: 2, builder });
  const lines: string[] = [];
  async function build(input: BundleInput, change: Partial<BuildContext> = {}) {
    const bundle = makeBundle(input);
    const signal = new AbortController().signal;
    const { manifest } = await releases.unpack("shop", Readable.from([bundle.bytes]), {
      accept: async () => undefined,
      signal,
    });
    const onOutput = (source: string, line: string) => lines.push(`${source}: ${line}`);
    const context = { app: "shop", release: manifest.release, manifest, onOutput, signal, ...change };
    return { context, ...(await environments.build(context)) };
  }
  const python = (release: string, ...argv: string[]) =>
    execFileSync(join(layout.releaseVenv(release), "bin/python"), argv, { cwd: layout.app(release), encoding: "utf8" });
  return { layout, environments, build, python, lines, steps };
}

export const vendored = (files: BundleInput["files"] = {}): BundleInput => ({
  files: { "app/requirements.txt": "greeting-kit\n", [greeting.path]: greeting.content, ...files },
  config: { python: { wheels: "vendor" } },
});
