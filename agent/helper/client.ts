import { connect, type Socket } from "node:net";
import { CutoverError } from "../../shared/errors.ts";
import { LineSplitter } from "../../shared/lines.ts";
import { fromProblem } from "../../shared/problem.ts";
import type { OutputListener } from "../contracts/privileged.ts";
import { abortReason } from "../host/abort-reason.ts";
import { helperAnswer } from "./messages.ts";
import { type HelperMethod, type Params, parseResult, type Results } from "./methods.ts";

export interface HelperClientOptions {
  /** The helper's socket. */
  path: string;
  /** This program's version. A helper of another version may have other methods, and is refused. */
  version: string;
  /** How long an unused connection is kept, in milliseconds. The helper ends with it. */
  idleMs?: number;
  /** How long a helper may take to greet, in milliseconds: an earlier one may have to end first. */
  startMs?: number;
}

export interface CallOptions {
  signal?: AbortSignal;
  onOutput?: OutputListener;
}

interface Pending {
  resolve(result: unknown): void;
  reject(error: unknown): void;
  onOutput: OutputListener | undefined;
}

/** Bytes of one line from the helper: the programs of all runs of an app, or a long message with its evidence. */
const longestAnswer = 32 * 1024 * 1024;

/** The agent's side of the border. It connects when there is something to ask, and leaves the connection after a while without. */
export class HelperClient {
  readonly #options: HelperClientOptions;
  #connection: Promise<Connection> | undefined;

  constructor(options: HelperClientOptions) {
    this.#options = options;
  }

  /** Asks for one method of the table. @throws CutoverError what the helper answers, helper_unreachable, aborted */
  async call<M extends HelperMethod>(
    method: M,
    params: Params[M],
    { signal, onOutput }: CallOptions = {},
  ): Promise<Results[M]> {
    if (signal?.aborted) throw abortReason(signal);
    const connection = await this.#open();
    const answer = await connection.ask({ method, params }, signal, onOutput).catch((error: unknown) => {
      throw signal?.aborted ? abortReason(signal) : error;
    });
    const result = parseResult(method, answer);
    if (result.success) return result.data;
    throw unreachable(this.#options.path, `its answer to ${method} was not understood`, { cause: result.error });
  }

  close(): void {
    this.#connection?.then((connection) => connection.end()).catch(() => undefined);
    this.#connection = undefined;
  }

  #open(): Promise<Connection> {
    if (this.#connection !== undefined) return this.#connection;
    const opening = openConnection(this.#options, () => {
      if (this.#connection === opening) this.#connection = undefined;
    });
    this.#connection = opening;
    return opening;
  }
}

async function openConnection(options: HelperClientOptions, onEnd: () => void): Promise<Connection> {
  const { path, version, startMs = 60_000, idleMs = 30_000 } = options;
  const socket = connect(path);
  const connection = new Connection(socket, { path, idleMs, onEnd });
  const slow = setTimeout(() => socket.destroy(new Error("it did not start in time")), startMs);
  try {
    const theirs = await connection.greeting;
    if (theirs === version) return connection;
    connection.end();
    const why = `the helper is version ${theirs}, and the agent ${version}`;
    throw unreachable(path, why, { fix: "Restart the agent: `systemctl restart cutover-agent`." });
  } finally {
    clearTimeout(slow);
  }
}

class Connection {
  /** Resolves with the helper's version when the helper is ready. */
  readonly greeting: Promise<string>;
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  readonly #idleMs: number;
  #last = 0;
  #idle: NodeJS.Timeout | undefined;

  constructor(socket: Socket, { path, idleMs, onEnd }: { path: string; idleMs: number; onEnd(): void }) {
    this.#socket = socket;
    this.#idleMs = idleMs;
    const greeted = Promise.withResolvers<string>();
    this.greeting = greeted.promise;
    const take = (line: string) => this.#take(line, greeted.resolve);
    const lines = new LineSplitter(take, { longest: longestAnswer, tooLong: "refuse" });
    let why = "it ended in the middle of its work";
    socket.on("data", (bytes: Buffer) => {
      try {
        lines.write(bytes);
      } catch (error) {
        socket.destroy(error as Error);
      }
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      why = error.message;
    });
    socket.once("close", () => {
      clearTimeout(this.#idle);
      onEnd();
      const error = unreachable(path, why);
      greeted.reject(error);
      for (const { reject } of this.#pending.values()) reject(error);
      this.#pending.clear();
    });
  }

  ask(
    call: { method: string; params: unknown },
    signal: AbortSignal | undefined,
    onOutput: OutputListener | undefined,
  ): Promise<unknown> {
    this.#last += 1;
    const id = this.#last;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#pending.set(id, { resolve, reject, onOutput });
    clearTimeout(this.#idle);
    this.#socket.ref();
    this.#send({ id, ...call });
    const cancel = () => this.#send({ cancel: id });
    signal?.addEventListener("abort", cancel);
    return promise.finally(() => {
      signal?.removeEventListener("abort", cancel);
      if (this.#pending.size === 0) this.#rest();
    });
  }

  end(): void {
    this.#socket.end();
    this.#socket.unref();
  }

  #send(message: object): void {
    if (!this.#socket.destroyed) this.#socket.write(`${JSON.stringify(message)}\n`);
  }

  #rest(): void {
    // Nothing is lost when the agent ends now.
    this.#socket.unref();
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#socket.destroy(), this.#idleMs);
    this.#idle.unref();
  }

  #take(line: string, greet: (version: string) => void): void {
    const answer = helperAnswer.parse(JSON.parse(line));
    if ("helper" in answer) {
      greet(answer.helper);
      return;
    }
    const pending = this.#pending.get(answer.id);
    if ("output" in answer) {
      pending?.onOutput?.(...answer.output);
      return;
    }
    this.#pending.delete(answer.id);
    if ("error" in answer) pending?.reject(fromProblem(answer.error));
    else pending?.resolve(answer.result);
  }
}

function unreachable(path: string, why: string, { fix, cause }: { fix?: string; cause?: unknown } = {}): CutoverError {
  return new CutoverError("helper_unreachable", `The helper cannot be asked: ${why} (${path}).`, {
    unchanged: "The sites go on serving. What was begun is undone or finished when the helper answers again.",
    fix: fix ?? "Check `systemctl status cutover-helper.socket`, the helper's log, and `helper` in agent.yml.",
    cause,
  });
}
