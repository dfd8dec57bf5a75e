import { asCutoverError, CutoverError } from "../../shared/errors.ts";
import type { Archive, Bundle } from "../bundle/bundle.ts";
import type { Begun } from "../client/agent-client.ts";
import type { LiveFiles } from "../client/live-files.ts";
import type { HostApp } from "./host-app.ts";
import type { HostLog } from "./host-log.ts";

export interface SendOptions {
  releaseCommand: boolean;
  firstHost: boolean;
  leaseMs: number;
  signal: AbortSignal;
}

/**
 * How one host gets the bundle: without the files that are in its live release, or whole. It gets everything if it does
 * not say which files it has, or if it answers `base_unusable`. Any other refusal of a thin bundle ends the upload.
 */
export class HostUpload {
  readonly #app: HostApp;
  readonly #log: HostLog;
  /** The files of the live release, or why they are not known; undefined if everything is sent. */
  #base: Promise<LiveFiles | CutoverError> | undefined;

  constructor(app: HostApp, log: HostLog) {
    this.#app = app;
    this.#log = log;
  }

  /** Asks for the files of the live release. Only `archive` waits for the answer. */
  askForBase(signal: AbortSignal): void {
    this.#base = this.#app.liveFiles(signal).catch((thrown: unknown) => asCutoverError(thrown, "runner"));
  }

  /** The archive that this host gets, packed unless another host has the same. @throws CutoverError as packing does */
  async archive(bundle: Bundle, signal: AbortSignal): Promise<Archive> {
    const base = await this.#base;
    signal.throwIfAborted();
    if (!(base instanceof CutoverError)) return bundle.archive(base);
    this.#sendEverything(base);
    return bundle.archive();
  }

  /** @throws CutoverError with the agent's refusal */
  async send(bundle: Bundle, options: SendOptions): Promise<Begun> {
    const archive = await this.archive(bundle, options.signal);
    try {
      return await this.#send(bundle, archive, options);
    } catch (thrown) {
      if (archive.base === undefined || !isBaseUnusable(thrown)) throw thrown;
      this.#sendEverything(thrown);
      return this.#send(bundle, await bundle.archive(), options);
    }
  }

  #send({ digest }: Bundle, archive: Archive, options: SendOptions): Promise<Begun> {
    const onProgress = (sent: number, size: number) => this.#log.progress(sent, size);
    return this.#app.upload({ digest, archive, ...options, onProgress });
  }

  #sendEverything(reason: CutoverError): void {
    this.#base = undefined;
    // A first deploy needs no explanation.
    if (reason.code === "nothing_live") return;
    const why = reason.code === "forbidden" ? "the token is not allowed to `read` there" : reason.message;
    this.#log.line(`everything is sent: ${why.replace(/\.$/, "")}.`);
  }
}

function isBaseUnusable(thrown: unknown): thrown is CutoverError {
  return thrown instanceof CutoverError && thrown.code === "base_unusable";
}
