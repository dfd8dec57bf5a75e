import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import pRetry, { AbortError } from "p-retry";
import type { DeploymentEvent } from "../../shared/protocol.ts";
import type { CertificateFailure } from "../contracts/certificates.ts";
import type { InstancesReport } from "../contracts/instances-report.ts";
import type { Apps } from "../contracts/ports.ts";
import type { Logger } from "../logger.ts";
import { isLoopback, type Webhook } from "../settings-values.ts";
import { certificateMessage, jsonBody, jsonReport, signature, slackBody, slackReport } from "./webhook-body.ts";

interface WebhooksParts {
  /** Those of agent.yml: they get the deployments of every app. */
  webhooks: Webhook[];
  /** Supplies the webhooks of each app's own file. */
  apps: Pick<Apps, "settings">;
  /** The name of this host in messages. */
  host: string;
  log: Logger;
  onResult(result: "delivered" | "failed"): void;
  limits?: Partial<WebhookLimits>;
}

export interface WebhookLimits {
  /** The time limit of one attempt. */
  attemptMs: number;
  retries: number;
  /** The pause before the first retry; each further pause is three times as long. */
  pauseMs: number;
  /** How many may be under way at the same time. Further ones are dropped, and the log says so. */
  atOnce: number;
}

const defaultLimits: WebhookLimits = { attemptMs: 10_000, retries: 4, pauseMs: 1000, atOnce: 100 };

/** What one webhook tells. */
interface Message {
  app: string;
  event: Webhook["events"][number] | "running";
  /** For the log. */
  about: object;
  body(kind: Webhook["kind"], host: string): string;
}

/**
 * Tells others how deployments ended, and which live instances do not run. It works in the background, so that no deployment
 * waits for a webhook or fails with one. Webhooks that are under way when the agent stops are given up.
 */
export class Webhooks {
  readonly #parts: WebhooksParts;
  readonly #limits: WebhookLimits;
  readonly #closing = new AbortController();
  readonly #underway = new Set<Promise<void>>();

  constructor(parts: WebhooksParts) {
    this.#parts = parts;
    this.#limits = { ...defaultLimits, ...parts.limits };
  }

  event(_app: string, event: DeploymentEvent): void {
    if (event.type !== "end" || this.#closing.signal.aborted) return;
    const view = event.deployment;
    this.#begin({
      app: view.app,
      event: view.outcome,
      about: { deployment: view.id },
      body: (kind, host) => (kind === "slack" ? slackBody(view, host) : jsonBody(view, host)),
    });
  }

  /** Live instances do not run, or run again. */
  report(report: InstancesReport): void {
    if (this.#closing.signal.aborted) return;
    const { app, event } = report;
    this.#begin({
      ...{ app, event, about: { event } },
      body: (kind, host) => (kind === "slack" ? slackReport(report, host) : jsonReport(report, host)),
    });
  }

  /** A site with `tls: auto` did not get its certificate. */
  certificateFailed(failure: CertificateFailure): void {
    if (this.#closing.signal.aborted) return;
    const event = "certificate_failed";
    this.#begin({
      app: failure.app,
      event,
      about: { event },
      body: (kind, host) => certificateMessage(failure, kind, host),
    });
  }

  #begin(message: Message): void {
    const notifying: Promise<void> = this.#notify(message).finally(() => this.#underway.delete(notifying));
    this.#underway.add(notifying);
  }

  /** Resolves when no webhook is under way. */
  async settled(): Promise<void> {
    while (this.#underway.size > 0) await Promise.all(this.#underway);
  }

  /** Webhooks of deployments that the stopping agent has just undone get one attempt of `graceMs`. */
  async close(graceMs = 0): Promise<void> {
    const timer = setTimeout(() => this.#closing.abort(new Error("the agent stops")), graceMs);
    await this.settled();
    clearTimeout(timer);
    this.#closing.abort(new Error("the agent stops"));
  }

  async #notify(message: Message): Promise<void> {
    const { apps, webhooks, log } = this.#parts;
    const { app, event } = message;
    const own = await apps.settings(app).then(
      (settings) => settings.webhooks,
      () => [],
    );
    const named = [
      ...webhooks.map((hook, index) => ({ hook, name: `agent.yml webhooks[${index}]` })),
      ...own.map((hook, index) => ({ hook, name: `apps/${app}.yml webhooks[${index}]` })),
    ].filter(({ hook }) => event !== "running" && hook.events.includes(event));
    await Promise.all(
      named.map(async ({ hook, name }) => {
        // The place in the file, never the address: whoever knows the address may write to the chat.
        const about = { app, ...message.about, webhook: name };
        try {
          if (this.#underway.size > this.#limits.atOnce) throw new Undelivered("too many webhooks are under way");
          await this.#deliver(hook, message);
          this.#parts.onResult("delivered");
          log.debug(about, "webhook delivered");
        } catch (thrown) {
          this.#parts.onResult("failed");
          log.warn({ ...about, reason: reasonOf(thrown) }, "webhook not delivered");
        }
      }),
    );
  }

  async #deliver(hook: Webhook, message: Message): Promise<void> {
    const { host } = this.#parts;
    const { retries, pauseMs } = this.#limits;
    const url = await addressOf(hook);
    const body = message.body(hook.kind, host);
    const delivery = randomUUID();
    const headers = { "cutover-event": message.event, "cutover-delivery": delivery };
    await pRetry(async () => this.#post(url, { ...headers, ...(await signed(hook, body)) }, body), {
      retries,
      factor: 3,
      minTimeout: pauseMs,
      randomize: true,
      signal: this.#closing.signal,
    });
  }

  async #post(url: URL, headers: Record<string, string>, body: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const request = (url.protocol === "https:" ? requestHttps : requestHttp)(url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "content-length": String(Buffer.byteLength(body)),
        "user-agent": "cutover-agent",
        ...headers,
      },
      agent: false,
      signal: AbortSignal.any([AbortSignal.timeout(this.#limits.attemptMs), this.#closing.signal]),
    });
    request.on("error", reject);
    request.on("response", (response) => {
      resolve(response.statusCode ?? 0);
      // Nothing in the answer matters, and it may be endless.
      response.on("error", () => {});
      response.destroy();
    });
    request.end(body);
    const status = await promise;
    if (status >= 200 && status < 300) return;
    const refused = new Undelivered(`it answered ${status}`);
    if (status >= 500 || status === 408 || status === 429) throw refused;
    throw new AbortError(refused);
  }
}

/** Signs each attempt again, so that a receiver may refuse old messages. */
async function signed({ secret_file: file }: Webhook, body: string): Promise<Record<string, string>> {
  if (file === undefined) return {};
  const secret = (await readHostFile(file, "secret_file")).trim();
  if (secret === "") throw new AbortError(new Undelivered("its secret_file is empty"));
  const timestamp = Math.floor(Date.now() / 1000);
  return { "cutover-timestamp": String(timestamp), "cutover-signature": signature(secret, timestamp, body) };
}

async function addressOf(hook: Webhook): Promise<URL> {
  const text = hook.url ?? (await readHostFile(hook.url_file ?? "", "url_file")).trim();
  if (!URL.canParse(text)) throw new Undelivered("its url_file holds no URL");
  const url = new URL(text);
  const plain = url.protocol === "http:" && (hook.insecure || isLoopback(url));
  if (url.protocol === "https:" || plain) return url;
  throw new Undelivered("its address is not https");
}

async function readHostFile(file: string, key: string): Promise<string> {
  try {
    return await readPlainly(file);
  } catch (cause) {
    throw new AbortError(new Undelivered(`its ${key} cannot be read: ${(cause as NodeJS.ErrnoException).code}`));
  }
}

/** An app's user may have put a pipe there, which would hold a thread of this process for ever. */
async function readPlainly(file: string): Promise<string> {
  await using opened = await open(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  if (!(await opened.stat()).isFile()) throw Object.assign(new Error("it is no file"), { code: "EISDIR" });
  return await opened.readFile("utf8");
}

/** Its message is in our own words, and holds no address. */
class Undelivered extends Error {}

/** Never a text that may hold an address: only our own words, or the system's code. */
function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return "unknown";
  if (thrown instanceof Undelivered) return thrown.message;
  if (thrown.name === "AbortError") return thrown.cause instanceof Error ? thrown.cause.message : "no answer in time";
  const { code } = thrown as NodeJS.ErrnoException;
  return code ?? thrown.name;
}
