import { randomBytes } from "node:crypto";
import type { Operation } from "../../shared/audience.ts";
import type { BodyOf, PathNames } from "../../shared/call.ts";
import { type AppView, calls, type DeploymentEvent, type DeploymentView } from "../../shared/protocol.ts";
import type { AgentClient, Begun, CommandCall } from "../client/agent-client.ts";
import type { KnownManifests, LiveFiles } from "../client/live-files.ts";
import type { Upload } from "../client/upload.ts";
import type { TokenSource } from "../tokens/token-source.ts";

export interface HostAppParts {
  app: string;
  client: AgentClient;
  tokens: TokenSource;
  /** How long a call waits while another deployment of the app runs, in milliseconds. */
  waitMs: number;
  /** Deploy also over a release of a later run of the workflow. */
  allowOlder: boolean;
  manifests: KnownManifests;
}

export type BundleUpload = Pick<
  Upload,
  "archive" | "releaseCommand" | "firstHost" | "leaseMs" | "onProgress" | "signal"
> & {
  /** Of the manifest. */
  digest: string;
};

/** The app on one host: the calls to its agent, each with a token of its own. Every method throws CutoverError. */
export class HostApp {
  readonly #parts: HostAppParts;
  /** Of this job's lease on this host: nobody else can renew it. */
  readonly #leaseSecret = randomBytes(32).toString("base64url");

  constructor(parts: HostAppParts) {
    this.#parts = parts;
  }

  get host(): string {
    return this.#parts.client.host;
  }

  /** Makes sure that the agent answers and speaks this protocol. */
  check(signal: AbortSignal): Promise<void> {
    return this.#parts.client.check(signal);
  }

  view(signal: AbortSignal): Promise<AppView> {
    const { client, app } = this.#parts;
    return client.app(app, this.#tokens({ name: "read" }), signal);
  }

  /** The files of the live release. */
  liveFiles(signal: AbortSignal): Promise<LiveFiles> {
    const { client, app, manifests } = this.#parts;
    return client.liveFiles(app, manifests, this.#tokens({ name: "read" }), signal);
  }

  upload({ digest, ...upload }: BundleUpload): Promise<Begun> {
    const { client, app, waitMs, allowOlder } = this.#parts;
    const leaseSecret = this.#leaseSecret;
    return client.upload({
      ...upload,
      app,
      leaseSecret,
      allowOlder,
      waitMs,
      token: this.#tokens({ name: "deploy", digest }),
    });
  }

  /**
   * Gives a release this part of the traffic, in percent.
   * @param atLeastMs how long to wait for another deployment of the app, if that is longer than usual
   */
  activate(release: string, weight: number, signal: AbortSignal, atLeastMs = 0): Promise<Begun> {
    const { app, waitMs } = this.#parts;
    const request = { names: { app, release }, body: { weight }, signal, repeatable: true };
    const operation: Operation = { name: "activate", release };
    return this.#command(calls.activate, operation, { ...request, waitMs: Math.max(waitMs, atLeastMs) });
  }

  /** @param release the live one if it is undefined */
  redeploy(release: string | undefined, signal: AbortSignal): Promise<Begun> {
    const { app, waitMs } = this.#parts;
    const body = release === undefined ? {} : { release };
    const request = { names: { app }, body, signal, repeatable: false, waitMs };
    return this.#command(calls.redeploy, { name: "redeploy", release: release ?? "live" }, request);
  }

  rollback(signal: AbortSignal, body: BodyOf<typeof calls.rollback> = {}, waitMs = this.#parts.waitMs) {
    // With `from`, a second one finds that the release is no longer live.
    const repeatable = body.from !== undefined;
    const request = { names: { app: this.#parts.app }, body, signal, repeatable, waitMs };
    return this.#command(calls.rollback, { name: "rollback" }, request);
  }

  /** Undoes a deployment that has not cut over. */
  abort(deployment: string, signal: AbortSignal): Promise<DeploymentView> {
    return this.#parts.client.abort(deployment, this.#tokens({ name: "abort", deployment }), signal);
  }

  /** How a deployment stands. Asking also renews its lease. */
  deployment(id: string, signal: AbortSignal): Promise<DeploymentView> {
    return this.#parts.client.deployment(id, this.#leaseSecret, signal);
  }

  events(deployment: string, signal: AbortSignal): AsyncGenerator<DeploymentEvent> {
    return this.#parts.client.events(deployment, signal);
  }

  #command<C extends CommandCall>(call: C, operation: Operation, request: CommandRequest<C>): Promise<Begun> {
    return this.#parts.client.command({ ...request, call, token: this.#tokens(operation) });
  }

  /** A new token each time: an agent takes one only once. */
  #tokens(operation: Operation): () => Promise<string> {
    const { tokens, app, client } = this.#parts;
    return () => tokens.token({ host: client.host, app, operation });
  }
}

interface CommandRequest<C extends CommandCall> {
  names: PathNames<C>;
  body: BodyOf<C>;
  signal: AbortSignal;
  waitMs: number;
  repeatable: boolean;
}
