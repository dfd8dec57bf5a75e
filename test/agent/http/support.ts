import { createHttpApp, type HttpAppOptions } from "../../../agent/http/app.ts";
import { type TokenAuthorizerOptions, tokenAuthorizer } from "../../../agent/http/auth.ts";
import { type RunningServer, type ServerTimes, startServer } from "../../../agent/http/server.ts";
import { createLogger } from "../../../agent/logger.ts";
import type { SpentTokens } from "../../../agent/ports.ts";
import { type AppSettings, appSettingsSchema } from "../../../agent/settings.ts";
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
export class SpentInMemory implements SpentTokens {
  readonly ids = new Set<string>();

  async spend(jti: string): Promise<boolean> {
    if (this.ids.has(jti)) return false;
    this.ids.add(jti);
    return true;
  }
}

export interface TestAgent {
  service: FakeService;
  spent: SpentInMemory;
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
  trust?: { key: string; allow?: string[] }[];
}

/** The agent's HTTP side on a loopback port: real server, real tokens, a service in memory. */
export async function startTestAgent({ http, auth, times, trust = [] }: TestAgentOptions = {}): Promise<TestAgent> {
  const service = new FakeService();
  const spent = new SpentInMemory();
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
  const authorize = tokenAuthorizer({ apps, spent, names: [hostName, "127.0.0.1:7070"], logger, ...auth });
  const app = createHttpApp({ service, authorize, logger, version: "1.2.3", ...http });
  const server = await startServer({ host: "127.0.0.1", port: 0 }, { app, ...(times && { times }) });
  return {
    service,
    spent,
    log: () => lines.join(""),
    settings,
    app,
    url: `http://127.0.0.1:${server.port}`,
    server,
    close: () => server.close(),
  };
}
