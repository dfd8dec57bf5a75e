import { readlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { configSchema } from "../../../shared/config.ts";
import { envFileFaults } from "../../../shared/env-file.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { releaseId } from "../../../shared/names.ts";
import { parseJson } from "../../../shared/plain-json.ts";
import { siteRecord } from "../../contracts/certificates.ts";
import { CertificateRecordFiles } from "../../host/certificates/record-files.ts";
import { listenerText, outsideListeners, tcpSockets } from "../../host/net/proc-net.ts";
import { groupSharers } from "../../host/ownership/own-group.ts";
import { isRootsAlone, readOwnerFile } from "../../host/ownership/owner-file.ts";
import { interpreterOf } from "../../host/python/environment-interpreter.ts";
import { AppsDirectory } from "../../host/store/apps-dir.ts";
import { type AppLayout, appLayout } from "../../host/store/layout.ts";
import { readLimits, readSafely } from "../../host/store/safe-read.ts";
import type { AgentSettings, AppSettings } from "../../settings.ts";
import type { AppFacts } from "./facts.ts";
import { entryOf, identityOf, namesIn, socketsBelow, wayTo } from "./paths.ts";

export async function appFacts(appsDir: string, settings: AgentSettings): Promise<AppFacts[]> {
  const apps = new AppsDirectory(appsDir);
  const names = await apps.names().catch(() => []);
  return Promise.all(names.map((app) => factsOfApp(app, apps, appsDir, settings)));
}

async function factsOfApp(app: string, apps: AppsDirectory, appsDir: string, agent: AgentSettings): Promise<AppFacts> {
  const read = await apps.settings(app).catch((error: unknown) => error);
  const settings = read instanceof Error ? undefined : (read as AppSettings);
  const faults = read instanceof CutoverError ? read.message.split("\n") : read instanceof Error ? [String(read)] : [];
  const layout = appLayout(agent.data, app);
  const env = settings?.env_file ?? join(appsDir, `${app}.env`);
  const user = settings?.user === undefined ? undefined : await identityOf(settings.user);
  const files = [layout.published("current"), ...(await socketsBelow(layout.run))];
  return {
    app,
    file: join(appsDir, `${app}.yml`),
    settings,
    faults,
    user,
    group: user && (await groupSharers(user.name, { uid: user.uid, gid: user.gids[0] ?? -1 })),
    env: {
      path: env,
      named: settings?.env_file !== undefined,
      entry: await entryOf(env),
      rootsAlone: await isRootsAlone(env).catch(() => false),
      faults: envFileFaults(await readOwnerFile(env, user?.uid).catch(() => "")),
    },
    ...(await liveFacts(layout)),
    outside: user === undefined || user.uid === 0 ? [] : await outsideOf(user.uid),
    order: settings?.tls === "auto" ? await failedOrder(agent.data, app) : undefined,
    home: layout.home,
    ways: await Promise.all([layout.home, ...files].map(wayTo)),
  };
}

async function outsideOf(uid: number): Promise<string[]> {
  const own = outsideListeners(await tcpSockets()).filter((socket) => socket.uid === uid);
  return [...new Set(own.map(listenerText))];
}

async function failedOrder(data: string, app: string): Promise<AppFacts["order"]> {
  const { failures, failed } = siteRecord.safeParse(await new CertificateRecordFiles(data).load(app)).data ?? {};
  return failures === undefined || failed === undefined ? undefined : { failures, reason: failed.reason };
}

/** `live` is undefined also if its configuration cannot be read. */
async function liveFacts(layout: AppLayout): Promise<Pick<AppFacts, "live" | "release" | "environment">> {
  const { home, published, config } = layout;
  const target = await readlink(published("current")).catch(() => undefined);
  const release = releaseId.safeParse(basename(target ?? "")).data;
  if (release === undefined) return { live: undefined, release, environment: undefined };
  const key = await readlink(layout.releaseVenv(release)).catch(() => undefined);
  const environment = key === undefined ? undefined : interpreterOf(layout.venv(basename(key)));
  try {
    const bytes = await readSafely(home, config(release), readLimits.config);
    return { live: configSchema.safeParse(parseJson(bytes.toString("utf8"))).data, release, environment };
  } catch {
    return { live: undefined, release, environment };
  }
}

/** Files of secrets in apps/ that belong to no app. */
export async function strayEnvFiles(appsDir: string, apps: AppFacts[]): Promise<string[]> {
  const used = new Set(apps.map(({ env }) => env.path));
  const files = ((await namesIn(appsDir)) ?? [])
    .filter((name) => name.endsWith(".env"))
    .map((name) => join(appsDir, name));
  return files.filter((file) => !used.has(file) && dirname(file) === appsDir).toSorted();
}
