import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { zstdDecompressSync } from "node:zlib";
import { jwtVerify } from "jose";
import { type Audience, formatAudience, type Operation } from "../../shared/audience.ts";
import type { ErrorCode } from "../../shared/errors.ts";
import { generateKey, importPublicLine, keyAlgorithm, keyIssuer, type TrustedKey } from "../../shared/key.ts";
import { type Manifest, parseManifest } from "../../shared/manifest.ts";
import {
  calls,
  type DeploymentKind,
  type DeploymentView,
  type FilesView,
  protocolVersion,
} from "../../shared/protocol.ts";
import { json, noSuchCall, problem } from "./agent-answers.ts";
import { type DeploymentPlan, FakeDeployment } from "./agent-deployment.ts";
import { entriesOf } from "./archive-entries.ts";

export interface FakeAgentOptions extends DeploymentPlan {
  /** Shared by the agents of a test: what happened, in order, each with the agent's name. */
  journal?: string[];
  name?: string;
  protocol?: number;
  /** Uploads are refused with this, before the body; the first so many, or all. */
  refuseUpload?: { status: number; code: ErrorCode; detail: string; times?: number };
  /** What is staged fails as soon as it has this part of the traffic, in percent. */
  canaryFailsAt?: number;
  /** What it says of a canary's visitors at a weight. */
  canary?: (weight: number) => DeploymentView["canary"];
  /** Rollbacks are refused with this. */
  refuseRollback?: { status: number; code: ErrorCode; detail: string };
  /** What it says of the live release; without this nothing is live. */
  live?: FilesView;
  /** Asked for the live release's files, the agent answers with this, or never. */
  refuseFiles?: { status: number; code: ErrorCode; detail: string } | "silence";
  /** Thin bundles are refused at their headers. */
  baseUnusable?: boolean;
  /** So many commands are answered 503 first. */
  unavailable?: number;
  /** The first stream of events breaks after so many. */
  breakEventsAfter?: number;
}

/** An agent that speaks the real protocol over real HTTP, with real tokens, and deploys nothing. */
export class FakeAgent {
  readonly url: URL;
  readonly privatePem: string;
  readonly manifests: Manifest[] = [];
  readonly subjects: string[] = [];
  /** How many bytes of bundles were received. */
  received = 0;
  /** The paths that each archive held, without its manifest. */
  readonly archives: string[][] = [];
  readonly #server: Server;
  readonly #key: TrustedKey;
  #refused = 0;
  readonly #options: FakeAgentOptions;
  readonly #deployments = new Map<string, FakeDeployment>();
  readonly #spent = new Set<string>();
  #unavailable: number;
  #breakAfter: number | undefined;

  private constructor(server: Server, key: TrustedKey, privatePem: string, options: FakeAgentOptions) {
    this.#server = server;
    this.#key = key;
    this.privatePem = privatePem;
    this.#options = options;
    this.#unavailable = options.unavailable ?? 0;
    this.#breakAfter = options.breakEventsAfter;
    this.url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const answer = (request: IncomingMessage, response: ServerResponse) => {
      this.#answer(request, response).catch((thrown: unknown) => {
        if (response.headersSent) response.destroy();
        else problem(response, 500, { code: "internal", detail: String(thrown) });
      });
    };
    server.on("request", answer);
    server.on("checkContinue", answer);
  }

  static async start(options: FakeAgentOptions = {}, pair?: { privatePem: string; publicLine: string }) {
    const { privatePem, publicLine } = pair ?? (await generateKey());
    const key = await importPublicLine(publicLine);
    if (key === undefined) throw new Error("not a public line");
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new FakeAgent(server, key, privatePem, options);
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #note(what: string): void {
    const { journal, name } = this.#options;
    journal?.push(name === undefined ? what : `${name} ${what}`);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? "/", this.url);
    const [, , scope, ...words] = pathname.split("/");
    if (pathname === "/healthz") {
      const protocol = this.#options.protocol ?? protocolVersion;
      return json(response, 200, { name: "cutover-agent", version: "9.9.9", protocol });
    }
    if (request.method === "POST" && this.#unavailable > 0) {
      this.#unavailable--;
      response.writeHead(503).end("try later");
      return;
    }
    if (scope === "deployments") return this.#answerDeployment(words, searchParams, request, response);
    return this.#answerApp(words, searchParams, request, response);
  }

  async #answerDeployment(
    [id = "", part]: string[],
    query: URLSearchParams,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (part === "events") return this.#stream(id, query, response);
    if (part === "abort") return this.#abort(id, request, response);
    const known = this.#deployments.get(id);
    if (part === undefined && known !== undefined) return json(response, 200, known.view);
    noSuchCall(response);
  }

  async #answerApp(
    [app = "", part, release = "", verb]: string[],
    query: URLSearchParams,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (verb === "files") return this.#files(app, request, response);
    switch (part) {
      case "releases":
        if (verb === undefined) return this.#upload(app, query, request, response);
        return this.#command("activate", app, { name: "activate", release }, request, response);
      case "redeploy":
        return this.#command("redeploy", app, { name: "redeploy", release: "live" }, request, response);
      case "rollback":
        return this.#command("rollback", app, { name: "rollback" }, request, response);
      default:
        noSuchCall(response);
    }
  }

  /** The token, checked for exactly this audience and spent. A deploy's digest is taken from it and compared later. */
  async #authorised(request: IncomingMessage, app: string, operation?: Operation): Promise<string | undefined> {
    const token = request.headers.authorization?.replace("Bearer ", "") ?? "";
    const { payload } = await jwtVerify(token, this.#key.key, { algorithms: [keyAlgorithm], issuer: keyIssuer });
    const audience = String(payload.aud);
    const base: Omit<Audience, "operation"> = { host: this.url.host, app };
    const right =
      operation === undefined
        ? audience.startsWith(`cutover/v1/${base.host}/${app}/deploy/sha256:`)
        : audience === formatAudience({ ...base, operation });
    if (!right || this.#spent.has(payload.jti ?? "")) return undefined;
    this.#spent.add(payload.jti ?? "");
    this.subjects.push(payload.sub ?? "");
    return audience.split("/").at(-1);
  }

  async #upload(app: string, query: URLSearchParams, request: IncomingMessage, response: ServerResponse) {
    const digest = await this.#authorised(request, app);
    if (digest === undefined) return problem(response, 401, { code: "unauthorized", detail: "no" });
    const { refuseUpload } = this.#options;
    if (refuseUpload !== undefined && this.#refused < (refuseUpload.times ?? Number.POSITIVE_INFINITY)) {
      this.#refused++;
      const { status, times: _, ...failure } = refuseUpload;
      return problem(response, status, failure);
    }
    const base = query.get("base");
    if (base !== null && this.#options.baseUnusable === true) {
      this.#note("thin bundle refused");
      return problem(response, 409, { code: "base_unusable", detail: `The host has no ${base}.` });
    }
    response.writeContinue();
    const body = await buffer(request);
    this.received += body.length;
    const [{ content: manifest } = { content: Buffer.alloc(0) }, ...entries] = entriesOf(zstdDecompressSync(body));
    this.archives.push(entries.map(({ path }) => path));
    if (`sha256:${createHash("sha256").update(manifest).digest("hex")}` !== digest) {
      return problem(response, 403, { code: "manifest_mismatch", detail: "another manifest" });
    }
    const parsed = parseManifest(manifest);
    this.manifests.push(parsed);
    const over = base === null ? "" : ` base=${base}`;
    this.#note(`upload activate=${query.get("activate")} release_command=${query.get("release_command")}${over}`);
    this.#start("deploy", parsed.release, response);
  }

  async #files(app: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { live, refuseFiles } = this.#options;
    if (refuseFiles === "silence") return;
    if (refuseFiles !== undefined) {
      const { status, ...failure } = refuseFiles;
      return problem(response, status, failure);
    }
    if ((await this.#authorised(request, app, { name: "read" })) === undefined) {
      return problem(response, 401, { code: "unauthorized", detail: "no" });
    }
    if (live === undefined) return problem(response, 409, { code: "nothing_live", detail: "nothing is live" });
    json(response, 200, live);
  }

  async #command(
    kind: DeploymentKind,
    app: string,
    operation: Operation,
    request: IncomingMessage,
    response: ServerResponse,
  ) {
    if ((await this.#authorised(request, app, operation)) === undefined) {
      return problem(response, 401, { code: "unauthorized", detail: "no" });
    }
    type Body = { weight?: number; from?: string };
    const { weight = 100, from } = JSON.parse((await buffer(request)).toString() || "{}") as Body;
    this.#note(`${kind}${weight === 100 ? "" : ` ${weight}`}${from === undefined ? "" : ` from ${from}`}`);
    const { refuseRollback } = this.#options;
    if (kind === "rollback" && refuseRollback !== undefined) {
      const { status, ...failure } = refuseRollback;
      return problem(response, status, failure);
    }
    if (weight < 100) return this.#shift(weight, operation, response);
    const release = operation.name === "activate" ? operation.release : "20261121T103000Z-3f2c1ab";
    this.#start(kind, release, response);
  }

  #shift(weight: number, operation: Operation, response: ServerResponse): void {
    const release = operation.name === "activate" ? operation.release : "";
    const deployment = new FakeDeployment("activate", release);
    this.#deployments.set(deployment.id, deployment);
    json(response, 202, { deployment: deployment.id, release });
    deployment.reach("healthy");
    deployment.end("succeeded");
    const staged = [...this.#deployments.values()].find(({ outcome }) => outcome === "staged");
    if (staged !== undefined) staged.canary = this.#options.canary?.(weight);
    if (weight !== this.#options.canaryFailsAt) return;
    staged?.end("failed", { code: "canary_failed", detail: "web-0 answered 500 to GET /" });
  }

  #start(kind: DeploymentKind, release: string, response: ServerResponse): void {
    const deployment = new FakeDeployment(kind, release);
    this.#deployments.set(deployment.id, deployment);
    json(response, 202, { deployment: deployment.id, release });
    void deployment.play(this.#options, (what) => this.#note(what));
  }

  async #abort(id: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const deployment = this.#deployments.get(id);
    if (deployment === undefined) return problem(response, 404, { code: "deployment_not_found", detail: "none" });
    if ((await this.#authorised(request, "shop", { name: "abort", deployment: id })) === undefined) {
      return problem(response, 401, { code: "unauthorized", detail: "no" });
    }
    this.#note(`abort ${deployment.kind}`);
    if (deployment.outcome === "running") deployment.end("aborted");
    json(response, 200, { ...deployment.view, outcome: "aborted" });
  }

  async #stream(id: string, query: URLSearchParams, response: ServerResponse): Promise<void> {
    const deployment = this.#deployments.get(id);
    if (deployment === undefined) return problem(response, 404, { code: "deployment_not_found", detail: "none" });
    let sent = calls.events.query.parse(Object.fromEntries(query)).after ?? 0;
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    response.write("\n");
    for (;;) {
      for (const event of deployment.events.slice(sent)) {
        if (this.#breakAfter !== undefined && sent >= this.#breakAfter) {
          this.#breakAfter = undefined;
          this.#note("events broken");
          response.write('{"id":');
          response.destroy();
          return;
        }
        response.write(`${JSON.stringify(event)}\n`);
        sent++;
        if (event.type === "end") return void response.end();
      }
      if (deployment.events.length === sent) await once(deployment.changed, "change");
    }
  }
}
