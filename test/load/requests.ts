import { createHash } from "node:crypto";
import { Agent, type ClientRequest, type IncomingMessage, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { CheckedOptions, Kind } from "./options.ts";

export type Answer = { version: string; pid: number; release: string } | undefined;

const smallBody = Buffer.from(JSON.stringify({ cart: [3, 5, 8], note: "x".repeat(200) }));
const uploadParts = 20;
const uploadPart = Buffer.alloc(5000, "upload ");
const longestAnswer = 64 * 1024;

const digests = {
  post: digestOf([smallBody]),
  upload: digestOf(Array.from({ length: uploadParts }, () => uploadPart)),
};

/** Sends the requests of the load, each exactly once, and checks what is answered. */
export class Requests {
  readonly #options: CheckedOptions;
  // First in, first out: every connection is used again before nginx finds it idle.
  readonly #kept = new Agent({ keepAlive: true, scheduling: "fifo", maxFreeSockets: 64 });

  constructor(options: CheckedOptions) {
    this.#options = options;
  }

  /** @throws Error whose message is the reason: `status 502`, `ECONNRESET`, `timeout`, `wrong answer` */
  async send(kind: Kind, fresh: boolean): Promise<Answer> {
    const outgoing = this.#open(kind, fresh);
    const answer = answerTo(outgoing);
    // The answer may be there, or the connection gone, before the body is through.
    const body = writeBody(outgoing, kind, this.#options.slowMs).catch(() => undefined);
    const timer = setTimeout(() => outgoing.destroy(new Error("timeout")), this.#options.timeoutMs);
    try {
      const { status, text } = await answer;
      if (status !== 200) throw new Error(`status ${status}`);
      await body;
      return check(kind, text);
    } catch (thrown) {
      outgoing.destroy();
      throw new Error(reasonOf(thrown), { cause: thrown });
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#kept.destroy();
  }

  #open(kind: Kind, fresh: boolean): ClientRequest {
    const { url, host } = this.#options;
    const post = kind === "post" || kind === "upload";
    const length = kind === "post" ? smallBody.length : uploadParts * uploadPart.length;
    return request(`${url}${pathOf(kind, this.#options)}`, {
      method: post ? "POST" : "GET",
      agent: fresh ? false : this.#kept,
      headers: { host, ...(post && { "content-type": "application/octet-stream", "content-length": length }) },
    });
  }
}

function pathOf(kind: Kind, { slowMs, page }: CheckedOptions): string {
  switch (kind) {
    case "get":
      return "/version";
    case "slow":
      return `/slow?ms=${slowMs}`;
    case "post":
    case "upload":
      return "/upload";
    case "page":
      return page;
  }
}

async function writeBody(outgoing: ClientRequest, kind: Kind, slowMs: number): Promise<void> {
  if (kind === "upload") {
    for (let part = 0; part < uploadParts && !outgoing.destroyed; part++) {
      outgoing.write(uploadPart);
      await sleep(slowMs / uploadParts);
    }
  } else if (kind === "post") {
    outgoing.write(smallBody);
  }
  outgoing.end();
}

function answerTo(outgoing: ClientRequest): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    outgoing.on("error", reject);
    outgoing.once("response", (incoming: IncomingMessage) => {
      const chunks: Buffer[] = [];
      let length = 0;
      incoming.on("data", (chunk: Buffer) => {
        length += chunk.length;
        if (length > longestAnswer) outgoing.destroy(new Error("answer too long"));
        else chunks.push(chunk);
      });
      incoming.once("error", reject);
      incoming.once("close", () => reject(new Error("answer cut short")));
      incoming.once("end", () => {
        if (!incoming.complete) return;
        resolve({ status: incoming.statusCode ?? 0, text: Buffer.concat(chunks).toString() });
      });
    });
  });
}

function check(kind: Kind, text: string): Answer {
  if (kind === "post" || kind === "upload") {
    if (text.trim() !== digests[kind]) throw new Error("wrong answer");
    return undefined;
  }
  if (kind === "page") return undefined;
  const [, version, pid, release] = /^(\S+) (\d+) (\S+)\s*$/.exec(text) ?? [];
  if (version === undefined || release === undefined) throw new Error("wrong answer");
  return { version, pid: Number(pid), release };
}

function digestOf(parts: Buffer[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return `${parts.reduce((sum, part) => sum + part.length, 0)} ${hash.digest("hex")}`;
}

function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  return (thrown as NodeJS.ErrnoException).code ?? thrown.message;
}
