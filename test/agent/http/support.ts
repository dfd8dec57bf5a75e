import type { z } from "zod";
import type {
  IssuerKeys,
  PinnedRepositories,
  PinnedRepository,
  SpendResult,
  UsedTokens,
} from "../../../agent/contracts/token-stores.ts";
import { createHttpApp, type HttpAppOptions } from "../../../agent/http/app.ts";
import { type TokenAuthorizerOptions, tokenAuthorizer } from "../../../agent/http/auth/authorize.ts";
import { type RunningServer, type ServerOptions, type ServerTimes, startServer } from "../../../agent/http/server.ts";
import { createLogger } from "../../../agent/logger.ts";
import { type AppSettings, agentSettingsSchema, appSettingsSchema } from "../../../agent/settings.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { generateKey, importPrivateKey, type SigningKey } from "../../../shared/key.ts";
import { FakeService } from "../../fakes/service.ts";

export const hostName = "web1.example.com:7070";

export interface TestKey {
  signer: SigningKey;
  publicLine: string;
}

export async function newKey(): Promise<TestKey> {
  const { privatePem, publicLine } = await generateKey();
  return { signer: await importPrivateKey(privatePem), publicLine };
}

/** Every id in memory; a real file is tested in spent-tokens.test.ts. */
export class SpentInMemory implements UsedTokens {
  readonly ids = new Set<string>();

  async spend(jti: string): Promise<SpendResult> {
    if (this.ids.has(jti)) return "spent";
    this.ids.add(jti);
    return "recorded";
  }
}

/** What was learnt of repositories, in memory; the real file is tested in learnt-repositories.test.ts. */
export class LearntInMemory implements PinnedRepositories {
  readonly all = new Map<string, PinnedRepository[]>();

  async list(app: string): Promise<PinnedRepository[]> {
    return this.all.get(app) ?? [];
  }

  async pin(app: string, repository: PinnedRepository): Promise<PinnedRepository> {
    const known = this.all.get(app) ?? [];
    const same = known.find((each) => each.repository === repository.repository && each.issuer === repository.issuer);
    if (same === undefined) this.all.set(app, [...known, repository]);
    return same ?? repository;
  }

  async forget(app: string): Promise<void> {
    this.all.delete(app);
  }
}

/** No issuer at all: for tests of what keys sign. */
const noKeys: IssuerKeys = { find: async () => ({ kind: "unknown" }) };

export interface TestAgent {
  service: FakeService;
  spent: SpentInMemory;
  learnt: LearntInMemory;
  /** Every line that was logged so far. */
  log(): string;
  settings: Map<string, AppSettings>;
  app: ReturnType<typeof createHttpApp>;
  /** `http://127.0.0.1:<port>` */
  url: string;
  server: RunningServer;
  close(): Promise<void>;
}

export interface TestAgentOptions {
  http?: Partial<HttpAppOptions>;
  auth?: Partial<TokenAuthorizerOptions>;
  times?: Partial<ServerTimes>;
  trust?: z.input<typeof appSettingsSchema>["trust"];
  /** The issuers whose ID tokens are accepted; default: none. */
  github?: { issuers: z.input<typeof agentSettingsSchema>["github"]; keys: IssuerKeys };
  /** Of the server: how many connections. */
  connections?: ServerOptions["connections"];
}

/** The agent's HTTP side on a loopback port: real server, real tokens, a service in memory. */
export async function startTestAgent(options: TestAgentOptions = {}): Promise<TestAgent> {
  const { http, auth, times, trust = [], github, connections } = options;
  const service = new FakeService();
  const spent = new SpentInMemory();
  const learnt = new LearntInMemory();
  const { github: issuers } = agentSettingsSchema.parse({ github: github?.issuers ?? [] });
  const lines: string[] = [];
  const logger = createLogger("debug", { write: (line: string) => void lines.push(line) });
  const settings = new Map([
    ["shop", { ...appSettingsSchema.parse({ trust }), app: "shop", file: "/etc/cutover/apps/shop.yml" }],
  ]);
  const apps = {
    async settings(app: string): Promise<AppSettings> {
      const found = settings.get(app);
      if (found === undefined) throw new CutoverError("app_not_found", `The host has no app ${app}.`);
      return found;
    },
  };
  const authorize = tokenAuthorizer({
    apps,
    spent,
    names: [hostName, "127.0.0.1:7070"],
    github: { issuers, learnt, keys: github?.keys ?? noKeys },
    logger,
    ...auth,
  });
  const app = createHttpApp({ service, authorize, logger, version: "1.2.3", ...http });
  const server = await startServer(
    { host: "127.0.0.1", port: 0 },
    {
      app,
      ...(times && { times }),
      ...(connections && { connections }),
    },
  );
  return {
    service,
    spent,
    learnt,
    log: () => lines.join(""),
    settings,
    app,
    url: `http://127.0.0.1:${server.port}`,
    server,
    close: () => server.close(),
  };
}
