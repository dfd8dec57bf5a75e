import { type IncomingMessage, request } from "node:http";
import type { z } from "zod";
import { CutoverError } from "../../shared/errors.ts";
import { fromProblem } from "../../shared/problem.ts";
import { type DeploymentEvent, deploymentEvent, problem, routes } from "../../shared/protocol.ts";

/** Calls the agent of this host over its admin socket. Every method throws CutoverError. */
export class AgentClient {
  readonly #socket: string;

  constructor(socket: string) {
    this.#socket = socket;
  }

  /** @throws CutoverError agent_unreachable, agent_incompatible, and what the agent answers */
  async call<S extends z.ZodType>(
    schema: S,
    method: "GET" | "POST" | "PUT" | "DELETE",
    path: string,
    body?: object,
  ): Promise<z.output<S>> {
    const response = await this.#send(method, path, body === undefined ? undefined : JSON.stringify(body));
    const text = await textOf(response);
    return understood(schema, response.statusCode === 204 ? undefined : parse(text));
  }

  /** A deployment's events until its end, taken up again where they stopped when the agent restarts meanwhile. */
  async *events(deployment: string, { retries = 20, retryMs = 500 } = {}): AsyncGenerator<DeploymentEvent> {
    let last = 0;
    for (let failures = 0; ; failures++) {
      try {
        const response = await this.#send("GET", `${routes.events(deployment)}?after=${last}`);
        for await (const line of linesOf(response)) {
          const event = understood(deploymentEvent, parse(line));
          last = event.id;
          failures = 0;
          yield event;
          if (event.type === "end") return;
        }
      } catch (error) {
        const again = !(error instanceof CutoverError) || error.code === "agent_unreachable";
        if (!again || failures >= retries) throw error;
      }
      if (failures >= retries) throw unreachable(this.#socket, "the connection ended again and again");
      await new Promise((resolve) => setTimeout(resolve, retryMs));
    }
  }

  async #send(method: string, path: string, body?: string): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const headers = {
      host: "localhost",
      ...(body !== undefined && { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
    };
    const call = request({ socketPath: this.#socket, method, path, headers, agent: false }, resolve);
    call.on("error", reject);
    call.end(body);
    const response = await promise.catch((error: NodeJS.ErrnoException) => {
      throw unreachable(this.#socket, error.code, error);
    });
    if ((response.statusCode ?? 0) < 400) return response;
    throw fromProblem(understood(problem, parse(await textOf(response))));
  }
}

function unreachable(socket: string, why: string | undefined, cause?: unknown): CutoverError {
  const denied = why === "EACCES" || why === "EPERM";
  const absent = why === "ENOENT" || why === "ECONNREFUSED";
  const message = denied
    ? `You may not open the agent's socket ${socket}.`
    : absent
      ? `No agent answers on ${socket}.`
      : `The connection to the agent on ${socket} failed: ${why ?? "unknown reason"}.`;
  const fix = denied
    ? "Run it as root, or as a member of the socket's group."
    : "Start it: `systemctl start cutover-agent`, or `cutover-agent --embedded DIR`. " +
      "For an agent elsewhere give --socket PATH, or --embedded DIR.";
  return new CutoverError("agent_unreachable", message, {
    unchanged: "Nothing was changed; sites are served without the agent.",
    fix,
    cause,
  });
}

function understood<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new CutoverError("agent_incompatible", "The agent's answer is not one that this `cutover` understands.", {
    fix: "Use the `cutover` that came with the running agent; restart the agent after an update.",
    cause: result.error,
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

async function* linesOf(response: IncomingMessage): AsyncGenerator<string> {
  let rest = "";
  response.setEncoding("utf8");
  for await (const chunk of response) {
    const lines = (rest + String(chunk)).split("\n");
    rest = lines.pop() ?? "";
    yield* lines.filter((line) => line !== "");
  }
}
