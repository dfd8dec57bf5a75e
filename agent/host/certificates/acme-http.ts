import { type RequestOptions, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import type { AcmeSettings } from "../../settings-values.ts";
import { readPlainFile } from "../ownership/owner-file.ts";

const timeoutMs = 30_000;
/** Of one answer; the longest is a chain of certificates. */
const limit = 1024 * 1024;

export interface AuthorityAnswer {
  status: number;
  headers: Record<string, string>;
  text: string;
}

/** The authority cannot be asked now: it is overloaded, limits its callers, or cannot be reached. */
export class NotNow extends Error {
  readonly retryAfterMs: number | undefined;

  constructor(reason: string, retryAfterMs?: number) {
    super(reason);
    this.retryAfterMs = retryAfterMs;
  }
}

export interface AuthorityRequest {
  method: string;
  headers?: Record<string, string>;
  body?: string | undefined;
}

/**
 * Speaks HTTP with one authority. It follows no redirect, waits thirty seconds at most, and reads so much and no more. The
 * authority's own answers say which addresses come next: they are asked by https alone, so none is another service of this
 * host or its network that speaks plain HTTP.
 */
export class AuthorityHttp {
  readonly #ca: string | undefined;
  readonly #plain: string | undefined;
  readonly #signal: AbortSignal;

  /** `ca` is a file with the roots to trust instead of the public ones. */
  constructor({ directory, ca }: Pick<AcmeSettings, "directory" | "ca">, signal: AbortSignal) {
    this.#ca = ca;
    this.#plain = directory.startsWith("http:") ? new URL(directory).origin : undefined;
    this.#signal = signal;
  }

  /** @throws NotNow; Error for an address that is not asked */
  async send(url: string, { method, headers = {}, body }: AuthorityRequest): Promise<AuthorityAnswer> {
    const { protocol, origin } = new URL(url);
    if (protocol !== "https:" && origin !== this.#plain)
      throw new Error(`The authority names an address without https: ${url.slice(0, 200)}`);
    const answer = await this.#exchange(url, { method, headers, body }).catch((thrown: NodeJS.ErrnoException) => {
      if (this.#signal.aborted) throw this.#signal.reason;
      const late = thrown.name === "AbortError" || thrown.name === "TimeoutError";
      const why = late ? `it did not answer within ${timeoutMs / 1000} seconds` : thrown.message || (thrown.code ?? "");
      throw new NotNow(`The authority at ${new URL(url).host} cannot be reached: ${why}.`);
    });
    if (answer.status !== 429 && answer.status < 500) return answer;
    const { detail = `it answered ${answer.status}` } = problemOf(answer);
    throw new NotNow(`The authority says: ${detail}`, retryAfter(answer.headers["retry-after"]));
  }

  async #roots(): Promise<string | undefined> {
    if (this.#ca === undefined) return undefined;
    return readPlainFile(this.#ca).catch((error: NodeJS.ErrnoException) => {
      throw new Error(`acme.ca of agent.yml cannot be read (${error.code})`);
    });
  }

  async #exchange(url: string, { method, headers, body }: AuthorityRequest): Promise<AuthorityAnswer> {
    const ca = await this.#roots();
    const { promise, resolve, reject } = Promise.withResolvers<AuthorityAnswer>();
    const options: RequestOptions & { ca?: string } = {
      method: method.toUpperCase(),
      headers: {
        ...headers,
        "user-agent": "cutover-agent",
        ...(body !== undefined && { "content-length": Buffer.byteLength(body) }),
      },
      signal: AbortSignal.any([this.#signal, AbortSignal.timeout(timeoutMs)]),
      ...(ca !== undefined && { ca }),
    };
    const request = (url.startsWith("https:") ? requestHttps : requestHttp)(url, options, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on("data", (chunk: Buffer) => {
        size += chunk.length;
        if (size > limit) reject(new Error(`its answer is longer than ${limit} bytes`));
        else chunks.push(chunk);
      });
      response.on("error", reject);
      response.on("end", () => {
        const all = Object.entries(response.headers).map(([name, value]) => [name, String(value)]);
        const text = Buffer.concat(chunks).toString("utf8");
        resolve({ status: response.statusCode ?? 0, headers: Object.fromEntries(all), text });
      });
    });
    request.on("error", reject);
    request.end(body);
    try {
      return await promise;
    } finally {
      request.destroy();
    }
  }
}

/** RFC 9457, as far as it is one. */
export function problemOf({ text }: Pick<AuthorityAnswer, "text">): { type?: string; detail?: string } {
  try {
    const { type, detail } = JSON.parse(text) as Record<string, unknown>;
    return {
      ...(typeof type === "string" && { type }),
      ...(typeof detail === "string" && { detail: detail.slice(0, 1000) }),
    };
  } catch {
    return {};
  }
}

/** Seconds, or a date. @returns milliseconds from now */
export function retryAfter(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? Math.max(ms, 0) : undefined;
}
