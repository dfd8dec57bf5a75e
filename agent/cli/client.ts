import { type IncomingMessage, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { z } from "zod";
import { type BodyOf, type Call, type PathNames, pathOf, type QueryOf } from "../../shared/call.ts";
import { CutoverError } from "../../shared/errors.ts";
import { followEvents, type StreamFailure } from "../../shared/follow-events.ts";
import { parseJson } from "../../shared/plain-json.ts";
import { fromProblem } from "../../shared/problem.ts";
import { calls, type DeploymentEvent, operatorHeader, operatorName, problem } from "../../shared/protocol.ts";

/** Calls the agent of this host over its admin socket. Every method throws CutoverError. */
export class AgentClient {
  readonly #socket: string;
  readonly #user: string | undefined;

  /** @param user who calls, for the audit log */
  constructor(socket: string, { user }: { user?: string | undefined } = {}) {
    this.#socket = socket;
    this.#user = user;
  }

  /** @throws CutoverError agent_unreachable, agent_incompatible, and what the agent answers */
  async call<C extends Call>(
    call: C,
    names: PathNames<C>,
    { query, body }: { query?: QueryOf<C>; body?: BodyOf<C> } = {},
  ): Promise<z.output<C["answer"]>> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const response = await this.#send(call.method, pathOf(call, names, query), text);
    const answer = await textOf(response);
    return understood(call.answer, response.statusCode === 204 ? undefined : parseJson(answer)) as z.output<
      C["answer"]
    >;
  }

  /** A deployment's events until its end. If the agent restarts meanwhile, they go on after the last one that came. */
  events(deployment: string, { retries = 20, retryMs = 500 } = {}): AsyncGenerator<DeploymentEvent> {
    const { method } = calls.events;
    const open = (after: number) => this.#send(method, pathOf(calls.events, { id: deployment }, { after }));
    const again = async ({ thrown, before }: StreamFailure) => {
      const lasting = thrown instanceof CutoverError && thrown.code !== "agent_unreachable";
      if (thrown !== undefined && (lasting || before >= retries)) throw thrown;
      if (before >= retries) throw unreachable(this.#socket, "the connection ended again and again");
      await sleep(retryMs);
    };
    return followEvents({ open, again });
  }

  async #send(method: string, path: string, body?: string): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const headers = {
      host: "localhost",
      ...(this.#user !== undefined && { [operatorHeader]: this.#user }),
      ...(body !== undefined && { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
    };
    const call = request({ socketPath: this.#socket, method, path, headers, agent: false }, resolve);
    call.on("error", reject);
    call.end(body);
    const response = await promise.catch((error: NodeJS.ErrnoException) => {
      throw unreachable(this.#socket, error.code, error);
    });
    if ((response.statusCode ?? 0) < 400) return response;
    throw fromProblem(understood(problem, parseJson(await textOf(response))));
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

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

/** Who runs the command, also through sudo; undefined if nothing says so. */
export function userOf({ SUDO_USER, LOGNAME, USER }: NodeJS.ProcessEnv): string | undefined {
  return operatorName.safeParse(SUDO_USER ?? LOGNAME ?? USER).data;
}
