import { createReadStream } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { collectStatic } from "../../action/project/collectstatic.ts";
import { readConfig } from "../../action/project/config.ts";
import { execute } from "../../action/runner/exec.ts";
import { pathOf } from "../../shared/call.ts";
import { accepted, calls, type DeploymentView, deploymentView } from "../../shared/protocol.ts";
import type { EmbeddedAgent } from "./agent.ts";
import { packProject } from "./pack.ts";
import { systemPath } from "./places.ts";

/** Packs a project that needs no wheels and deploys it over the admin socket. @returns how it ended, whichever way */
export async function deployProject(
  agent: EmbeddedAgent,
  directory: string,
  { activate = true, send = createReadStream }: { activate?: boolean; send?: (bundle: string) => Readable } = {},
): Promise<DeploymentView> {
  const { signal } = new AbortController();
  const { config } = await readConfig(directory, "cutover.yml");
  const env = { PATH: systemPath };
  await collectStatic(config, { directory, env, bin: undefined, exec: execute, onLine: () => undefined, signal });
  const { bundle } = await packProject({
    ...{ config, directory, wheels: [], made: new Date(), repository: "", commit: "" },
    ...{ into: agent.scratch.path, signal },
  });
  return finished(agent, pathOf(calls.deploy, { app: config.app }, { activate }), send(bundle));
}

/** Makes a call that begins a deployment, and waits for how it ends. */
export async function finished(
  agent: Pick<EmbeddedAgent, "directory">,
  path: string,
  body: Readable,
): Promise<DeploymentView> {
  const { deployment } = accepted.parse(await call(agent, "POST", path, body));
  for (;;) {
    const view = deploymentView.parse(
      await call(agent, "GET", pathOf(calls.deployment, { id: deployment }, { wait: 60 })),
    );
    if (view.outcome !== "running") return view;
  }
}

/** A call on the admin socket. @throws Error with what was answered instead of 2xx */
export function call(
  agent: Pick<EmbeddedAgent, "directory">,
  method: string,
  path: string,
  body?: Readable,
): Promise<unknown> {
  const socketPath = join(agent.directory, "agent.sock");
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path, agent: false }, (response) => {
      text(response)
        .then((answer) => {
          if (response.statusCode === 204) resolve(undefined);
          else if (response.statusCode !== undefined && response.statusCode < 300) resolve(JSON.parse(answer));
          else reject(new Error(`${method} ${path}: ${response.statusCode} ${answer}`));
        })
        // Broken off in the middle of the answer.
        .catch(reject);
    });
    outgoing.on("error", reject);
    if (body === undefined) outgoing.end();
    else body.on("error", reject).pipe(outgoing);
  });
}
