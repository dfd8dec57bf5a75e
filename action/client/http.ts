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
  const agent: Agent = new HttpClient("cutover", [], { keepAlive: false }).getAgent(url.href);
  // The other side may close a kept connection just when a command is sent over it.
  const all = { connection: "close", ...headers, ...bodyHeaders(body) };
  const options: RequestOptions = { method, agent, signal, headers: all };
  const request = (url.protocol === "https:" ? httpsRequest : httpRequest)(url, options);
  const answer = new Promise<IncomingMessage>((resolve, reject) => {
    request.once("response", resolve);
    request.once("error", reject);
  });
  limitConnecting(request);
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
 * Three attempts of the kernel, the last after three seconds. Without this limit it would make dozens to an unreachable
 * host.
 */
const connectMs = 5000;

function limitConnecting(request: ClientRequest): void {
  request.once("socket", (socket) => {
    if (!socket.connecting) return;
    const timer = setTimeout(() => request.destroy(new ConnectError()), connectMs);
    socket.once("connect", () => clearTimeout(timer));
    request.once("close", () => clearTimeout(timer));
  });
}

class ConnectError extends Error {
  /** The code with which the kernel reports it. */
  readonly code = "EHOSTUNREACH";
  constructor() {
    super(`no connection within ${connectMs / 1000} s`);
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
export async function readText(answer: IncomingMessage, limit = 4 * 1024 * 1024): Promise<string> {
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
