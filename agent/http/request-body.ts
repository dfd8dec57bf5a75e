import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { CutoverError } from "../../shared/errors.ts";
import { parseJson } from "../../shared/plain-json.ts";

/** Node's own request and response, for what a Request cannot do: ask for the body, and stream it without a copy. */
export interface HttpBindings {
  incoming: IncomingMessage;
  outgoing: ServerResponse;
  /** Called when the caller has proven something: from then on its connection is not ended for those of others. */
  proven?(): void;
}

export interface BodyRate {
  /** The lowest rate that is accepted, averaged over the window. */
  bytesPerSecond: number;
  windowMs: number;
}

export const defaultBodyRate: BodyRate = { bytesPerSecond: 1024, windowMs: 30_000 };

/** A client that waits for `100 Continue` sends its body only after this. */
export function askForBody({ incoming, outgoing }: HttpBindings): void {
  if (waitsForContinue(incoming) && !outgoing.headersSent) outgoing.writeContinue();
}

export function waitsForContinue({ headers, httpVersion }: IncomingMessage): boolean {
  return headers.expect?.toLowerCase() === "100-continue" && httpVersion === "1.1";
}

/** A body of unknown length counts, an empty one does not. */
export function bringsBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

/**
 * The body of an upload. Destroying it does not close the connection, so that a bundle that is refused halfway still gets an
 * answer. It fails with `bundle_truncated` when the client goes away, and with `timed_out` when the client sends too slowly.
 * Time in which nobody reads does not count.
 */
export class RequestBody extends Readable {
  readonly #incoming: IncomingMessage;
  #received = 0;
  #held = false;
  #watch: NodeJS.Timeout | undefined;

  constructor(bindings: HttpBindings, rate: BodyRate = defaultBodyRate) {
    super({ highWaterMark: 256 * 1024 });
    this.#incoming = bindings.incoming;
    this.#incoming.pause();
    this.#incoming.on("data", this.#onData);
    this.#incoming.on("end", this.#onEnd);
    this.#incoming.on("error", this.#onGone);
    this.#incoming.on("close", this.#onGone);
    this.#watchRate(rate);
    askForBody(bindings);
    if (this.#incoming.destroyed) this.#onGone();
  }

  override _read(): void {
    this.#incoming.resume();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    clearInterval(this.#watch);
    this.#incoming.off("data", this.#onData);
    this.#incoming.off("end", this.#onEnd);
    this.#incoming.off("close", this.#onGone);
    // The error listener stays: without one, an 'error' of a broken connection would end the process.
    this.#incoming.pause();
    callback(error);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#received += chunk.length;
    if (this.push(chunk)) return;
    this.#held = true;
    this.#incoming.pause();
  };

  readonly #onEnd = (): void => {
    clearInterval(this.#watch);
    this.push(null);
  };

  readonly #onGone = (): void => {
    if (this.#incoming.readableEnded || this.destroyed) return;
    this.destroy(
      new CutoverError("bundle_truncated", `The connection ended after ${this.#received} bytes of the bundle.`, {
        unchanged: "Nothing was unpacked; the live release goes on serving.",
        fix: "Send it again.",
      }),
    );
  };

  #watchRate({ bytesPerSecond, windowMs }: BodyRate): void {
    let before = 0;
    this.#watch = setInterval(() => {
      const got = this.#received - before;
      const unread = this.#held || this.#incoming.isPaused();
      before = this.#received;
      this.#held = false;
      if (unread || got >= (bytesPerSecond * windowMs) / 1000) return;
      this.destroy(
        new CutoverError("timed_out", `The bundle arrived too slowly: ${got} bytes in ${windowMs / 1000} seconds.`, {
          unchanged: "Nothing was unpacked; the live release goes on serving.",
          fix: "Check the network between the client and this host, then send it again.",
        }),
      );
    }, windowMs);
    this.#watch.unref();
  }
}

export interface JsonLimits {
  bytes: number;
  ms: number;
}

/** @throws CutoverError request_invalid, timed_out */
export async function readJson(
  bindings: HttpBindings,
  { bytes, ms }: JsonLimits = { bytes: 64 * 1024, ms: 10_000 },
): Promise<unknown> {
  const { incoming } = bindings;
  askForBody(bindings);
  const chunks: Buffer[] = [];
  const done = Promise.withResolvers<void>();
  let size = 0;
  const onData = (chunk: Buffer): void => {
    size += chunk.length;
    if (size > bytes) done.reject(invalid(`The body is longer than ${bytes} bytes.`));
    else chunks.push(chunk);
  };
  const onEnd = (): void => done.resolve();
  const onGone = (): void => done.reject(invalid("The body ended early."));
  const timer = setTimeout(
    () => done.reject(new CutoverError("timed_out", "The body of the request did not arrive in time.")),
    ms,
  );
  incoming.on("data", onData).on("end", onEnd).on("error", onGone).on("close", onGone);
  try {
    await done.promise;
  } finally {
    clearTimeout(timer);
    incoming.off("data", onData).off("end", onEnd).off("close", onGone).pause();
  }
  const text = Buffer.concat(chunks).toString("utf8");
  if (text.trim() === "") return {};
  const value = parseJson(text);
  if (value === undefined) throw invalid("The body is not JSON.");
  return value;
}

function invalid(message: string): CutoverError {
  return new CutoverError("request_invalid", message, { unchanged: "Nothing was changed." });
}
