import { once } from "node:events";
import { createReadStream } from "node:fs";
import {
  type Agent,
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from "node:http";
import { request as httpsRequest } from "node:https";
import { HttpClient } from "@actions/http-client";

/** What a call gives: the status, and the body as it comes. */
export interface HttpAnswer extends AsyncIterable<Buffer> {
  statusCode?: number | undefined;
  headers?: Record<string, string | string[] | undefined>;
  destroy(): unknown;
}

/** Sends a request. @throws the signal's reason if it is aborted; what the network threw */
export type Transport = (call: HttpCall) => Promise<HttpAnswer>;

export interface HttpCall {
  method: "GET" | "POST";
  url: URL;
  headers?: Record<string, string>;
  body?: CallBody;
  /** How long the connection may be silent. */
  idleMs: number;
  signal: AbortSignal;
}

/** A text, or a file that is sent only after the server has asked for it with 100 Continue. */
export type CallBody = { kind: "json"; text: string } | FileBody;

interface FileBody {
  kind: "file";
  path: string;
  size: number;
  /** After this time the file is sent without an answer: not every proxy passes on 100 Continue. */
  continueMs: number;
  onProgress(sent: number): void;
}

/**
 * Sends one request with Node's own client, which can wait for 100 Continue. Its agent comes from @actions/http-client,
 * so that https_proxy and no_proxy are respected.
 */
export async function call({ method, url, headers = {}, body, idleMs, signal }: HttpCall): Promise<IncomingMessage> {
  signal.throwIfAborted();
  using connecting = new Connecting(signal);
  // The other side may close a kept connection just when a command is sent over it.
  const all = { connection: "close", ...headers, ...bodyHeaders(body) };
  const options: RequestOptions = { method, agent: agentFor(url, connecting.signal), signal, headers: all };
  const request = (url.protocol === "https:" ? httpsRequest : httpRequest)(url, options);
  const answer = new Promise<IncomingMessage>((resolve, reject) => {
    request.once("response", resolve);
    request.once("error", reject);
    // As long as a request waits for its socket, nothing that is done to it becomes an error of its own.
    connecting.signal.addEventListener("abort", () => reject(connecting.signal.reason), { once: true });
  });
  connecting.watch(request);
  request.setTimeout(idleMs, () => request.destroy(new IdleError(idleMs)));
  try {
    if (body?.kind === "file") await sendFile(request, answer, body, signal);
    else request.end(body?.text);
    return await answer;
  } catch (thrown) {
    answer.catch(() => undefined);
    request.destroy();
    signal.throwIfAborted();
    throw thrown;
  }
}

/**
 * @param connecting ends the request to a proxy: the tunnel that it asks for is a request of its own, which knows
 *   nothing of ours and would keep this process alive for as long as the proxy is silent
 */
function agentFor(url: URL, connecting: AbortSignal): Agent {
  const agent: Agent & { proxyOptions?: RequestOptions } = new HttpClient("cutover", [], {
    keepAlive: false,
  }).getAgent(url.href);
  if (agent.proxyOptions !== undefined) agent.proxyOptions.signal = connecting;
  return agent;
}

/**
 * Three attempts of the kernel, the last after three seconds. Without this limit it would make dozens to an unreachable
 * host.
 */
const connectMs = 5000;
/** A proxy has to reach the host before it answers. */
const tunnelMs = 15_000;

/** The time from a request to its connection, with a limit. */
class Connecting implements Disposable {
  readonly #controller = new AbortController();
  readonly #job: AbortSignal;
  #timer: NodeJS.Timeout;

  constructor(job: AbortSignal) {
    this.#job = job;
    this.#timer = this.#limit(tunnelMs);
    job.addEventListener("abort", this.#stop, { once: true });
  }

  /** Aborted if there is no connection in time, or if the job has ended. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  watch(request: ClientRequest): void {
    request.once("socket", (socket) => {
      clearTimeout(this.#timer);
      if (!socket.connecting) return this[Symbol.dispose]();
      this.#timer = this.#limit(connectMs);
      socket.once("connect", () => this[Symbol.dispose]());
    });
  }

  readonly #stop = () => this.#controller.abort(this.#job.reason);

  #limit(ms: number): NodeJS.Timeout {
    return setTimeout(() => this.#controller.abort(new ConnectError(ms)), ms);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#job.removeEventListener("abort", this.#stop);
  }
}

class ConnectError extends Error {
  /** The code with which the kernel reports it. */
  readonly code = "EHOSTUNREACH";
  constructor(ms: number) {
    super(`no connection within ${ms / 1000} s`);
  }
}

class IdleError extends Error {
  readonly code = "ETIMEDOUT";
  constructor(ms: number) {
    super(`nothing came for ${Math.round(ms / 1000)} s`);
  }
}

function bodyHeaders(body: CallBody | undefined): Record<string, string> {
  switch (body?.kind) {
    case undefined:
      return {};
    case "json":
      return { "content-type": "application/json", "content-length": String(Buffer.byteLength(body.text)) };
    case "file":
      return { "content-type": "application/zstd", "content-length": String(body.size), expect: "100-continue" };
  }
}

function continued(request: ClientRequest, answer: Promise<unknown>, ms: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(true), ms);
    const settle = (value: boolean) => {
      clearTimeout(timer);
      resolve(value);
    };
    request.once("continue", () => settle(true));
    answer.then(
      () => settle(false),
      (thrown: unknown) => {
        clearTimeout(timer);
        reject(thrown);
      },
    );
  });
}

/** Stops as soon as there is an answer: an early answer is a refusal. */
async function sendFile(request: ClientRequest, answer: Promise<IncomingMessage>, body: FileBody, signal: AbortSignal) {
  request.flushHeaders();
  if (!(await continued(request, answer, body.continueMs)))
    return void (await answer).once("close", () => request.destroy());
  let answered = false;
  const stop = () => {
    answered = true;
  };
  answer.then(stop, stop);
  let sent = 0;
  for await (const chunk of createReadStream(body.path, { highWaterMark: 256 * 1024, signal })) {
    if (answered) return;
    if (!request.write(chunk)) await Promise.race([once(request, "drain", { signal }), answer]);
    sent += chunk.length;
    body.onProgress(sent);
  }
  request.end();
}

/** The text of an answer, cut off above a limit that no answer of an agent reaches. */
export async function readText(answer: HttpAnswer, limit = 4 * 1024 * 1024): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer) {
    size += chunk.length;
    if (size > limit) {
      answer.destroy();
      break;
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
