import type { Service } from "../contracts/service.ts";
import { type RunningServer, startServer } from "../http/server.ts";
import type { Logger } from "../logger.ts";
import type { AgentSettings } from "../settings.ts";
import { address } from "./listen.ts";

interface PublicParts {
  deployments: Pick<Service, "app" | "requests">;
  logger: Logger;
}

/** For everybody, behind the owner's nginx, if agent.yml publishes apps. @throws CutoverError host_settings_invalid */
export async function openPublicPage(
  { public_page: published, limits }: AgentSettings,
  { deployments, logger }: PublicParts,
): Promise<RunningServer[]> {
  if (published === undefined) return [];
  // Only here: most agents publish nothing, and need no memory for it.
  const { PublicLooks, createPublicPage } = await import("../ui/public/index.ts");
  const source = {
    app: (app: string) => deployments.app(app),
    requests: (app: string, seconds: number) => deployments.requests(app, seconds),
    apps: async () => published.apps,
    now: () => Date.now(),
  };
  const looks = new PublicLooks(source, published.apps);
  const onError = (err: unknown) => logger.warn({ err }, "the public page could not be shown");
  const page = createPublicPage({ looks, onError });
  const server = await startServer(address(published.listen), { app: page, connections: limits });
  const ended = new AbortController();
  const sampling = looks.samples.run(ended.signal);
  return [
    {
      ...server,
      async close(graceMs) {
        ended.abort();
        await Promise.all([server.close(graceMs), sampling]);
      },
    },
  ];
}
