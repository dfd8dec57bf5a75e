import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type Embedded, startEmbedded } from "../../../agent/host/embedded/embedded.ts";
import { LocalPrivileged } from "../../../agent/host/privileged.ts";
import { AppsDirectory } from "../../../agent/host/store/apps-dir.ts";
import { launcherFile } from "../../../agent/host/supervisor/launch-files.ts";
import { freePort, scratch } from "./scratch.ts";

export interface EmbeddedHost {
  dir: string;
  port: number;
  embedded: Embedded;
  apps: AppsDirectory;
  privileged: LocalPrivileged;
}

/** A real supervisord and nginx for one test, with an app `shop` that may listen on one port. */
export async function embeddedHost(): Promise<EmbeddedHost> {
  const dir = scratch();
  const embedded = await startEmbedded(dir);
  onTestFinished(() => embedded.stop());
  const port = await freePort();
  writeFileSync(join(embedded.appsDir, "shop.yml"), `listen: ["127.0.0.1:${port}"]\n`);
  const apps = new AppsDirectory(embedded.appsDir);
  const { settings } = embedded;
  const privileged = new LocalPrivileged({ settings, apps, launcher: launcherFile(), ownUser: true });
  return { dir, port, embedded, apps, privileged };
}
