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
  /** How long nothing may come over the connection. */
  idleMs: number;
  signal: AbortSignal;
}

/** A text, or a file that is sent only once the server has asked for it with 100 Continue. */
export type CallBody = { kind: "json"; text: string } | FileBody;

interface FileBody {
  kind: "file";
  path: string;
  size: number;
  /** Without an answer by then the file is sent all the same: not every proxy passes 100 Continue on. */
  continueMs: number;
  onProgress(sent: number): void;
}

/**
 * One request with node's own client, which can wait for 100 Continue; the agent comes from @actions/http-client, so
 * that https_proxy and no_proxy count.
 */
export async function call({ method, url, headers = {}, body, idleMs, signal }: HttpCall): Promise<IncomingMessage> {
  signal.throwIfAborted();
  const agent: Agent = new HttpClient("cutover", [], { keepAlive: false }).getAgent(url.href);
  // A connection that was kept open may be closed by the other side just when a command is sent over it.
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

/** Three attempts of the kernel's, the last after three seconds. A host that is cut off answers none; it would make dozens. */
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
  /** As when the network itself says so. */
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

/** Stops as soon as there is an answer: one that comes early refuses the rest. */
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

/** A whole answer's text, refused above a limit that no answer of an agent reaches. */
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
