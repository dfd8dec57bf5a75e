import type { Operation } from "../shared/audience.ts";
import { asCutoverError, CutoverError } from "../shared/errors.ts";
import type { Accepted, FilesView } from "../shared/protocol.ts";
import type { AgentClient } from "./agent-client.ts";
import type { Archive, Bundle } from "./bundle.ts";
import type { TokenSource } from "./github-tokens.ts";
import type { HostLog } from "./host-log.ts";

export interface HostUploadParts {
  app: string;
  client: AgentClient;
  tokens: TokenSource;
  log: HostLog;
  waitMs: number;
}

export interface SendOptions {
  releaseCommand: boolean;
  leaseMs: number;
  signal: AbortSignal;
}

/**
 * How one host gets the bundle: without the files that it has in its live release, or whole. Whatever goes wrong with the
 * first is no reason to fail, since there is the second.
 */
export class HostUpload {
  readonly #parts: HostUploadParts;
  /** The files of the live release, or why they are not known; undefined where everything is sent. */
  #base: Promise<FilesView | CutoverError> | undefined;

  constructor(parts: HostUploadParts) {
    this.#parts = parts;
  }

  /** Asks for the files of the live release. The answer is waited for when the bundle is packed. */
  askForBase(signal: AbortSignal): void {
    const { app, client } = this.#parts;
    this.#base = client.liveFiles(app, () => this.#token({ name: "read" }), signal).catch(asCutoverError);
  }

  /** The archive that this host gets, packed unless another host has the same. @throws CutoverError as packing does */
  async archive(bundle: Bundle, signal: AbortSignal): Promise<Archive> {
    const base = await this.#base;
    signal.throwIfAborted();
    if (!(base instanceof CutoverError)) return bundle.archive(base);
    this.#sendEverything(base);
    return bundle.archive();
  }

  /** @throws CutoverError as the agent refuses it */
  async send(bundle: Bundle, options: SendOptions): Promise<Accepted> {
    const archive = await this.archive(bundle, options.signal);
    try {
      return await this.#send(bundle, archive, options);
    } catch (thrown) {
      if (archive.base === undefined || !isBaseUnusable(thrown)) throw thrown;
      this.#sendEverything(thrown);
      return this.#send(bundle, await bundle.archive(), options);
    }
  }

  #send({ digest }: Bundle, archive: Archive, options: SendOptions): Promise<Accepted> {
    const { app, client, log, waitMs } = this.#parts;
    return client.upload({
      app,
      archive,
      ...options,
      waitMs,
      token: () => this.#token({ name: "deploy", digest }),
      onProgress: (sent, size) => log.progress(sent, size),
    });
  }

  #sendEverything(reason: CutoverError): void {
    this.#base = undefined;
    // Nobody needs to be told of a first deploy.
    if (reason.code === "nothing_live") return;
    const why = reason.code === "forbidden" ? "the token is not allowed to `read` there" : reason.message;
    this.#parts.log.line(`everything is sent: ${why.replace(/\.$/, "")}.`);
  }

  #token(operation: Operation): Promise<string> {
    const { tokens, app, client } = this.#parts;
    return tokens.token({ host: client.host, app, operation });
  }
}

function isBaseUnusable(thrown: unknown): thrown is CutoverError {
  return thrown instanceof CutoverError && thrown.code === "base_unusable";
}
