import { execFileSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Privileged, RunSpec } from "../../../agent/contracts/privileged.ts";
import { SocketProbe } from "../../../agent/host/net/health.ts";
import { NginxTraffic } from "../../../agent/host/nginx/traffic.ts";
import { appLayout } from "../../../agent/host/store/layout.ts";
import type { EmbeddedHost } from "./embedded-host.ts";
import { eventually, release } from "./scratch.ts";

export const probe = new SocketProbe("0.0.0");

const project = `import os
def app(environ, start):
    start("200 OK", [])
    return [os.environ.get("VALUE", "").encode()]
`;

/** A release with Debian's gunicorn, as unpacking and building would leave it. */
export function unpack({ embedded }: EmbeddedHost): void {
  const layout = appLayout(embedded.settings.data, "shop");
  mkdirSync(layout.app(release), { recursive: true });
  writeFileSync(join(layout.app(release), "shop.py"), project);
  const venv = ["-m", "venv", "--without-pip", "--system-site-packages", layout.venv("key")];
  execFileSync("/usr/bin/python3", venv);
  symlinkSync("../../venvs/key", layout.releaseVenv(release));
}

/** Waits until each instance of a run answers 200. */
export const healthy = (privileged: Privileged, spec: RunSpec) =>
  eventually(async () => {
    const checks = (await privileged.instances(spec)).map((i) =>
      probe.check(i, { path: "/", host: "x", timeoutMs: 500 }),
    );
    return (await Promise.all(checks)).every((answer) => answer.kind === "status" && answer.status === 200);
  });

/** All visitors to a run. */
export async function serve({ embedded, privileged }: Pick<EmbeddedHost, "embedded" | "privileged">, spec: RunSpec) {
  const shares = [{ run: spec.run, instances: await privileged.instances(spec), slots: 60 }];
  const traffic = new NginxTraffic(embedded.settings.data, privileged);
  return traffic.route("shop", { main: { config: spec.config, shares }, preview: null });
}
