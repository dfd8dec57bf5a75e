import { connect, type Socket } from "node:net";
import { CutoverError } from "../../shared/errors.ts";
import { LineSplitter } from "../../shared/lines.ts";
import { fromProblem } from "../../shared/problem.ts";
import type { OutputListener } from "../contracts/privileged.ts";
import { abortion } from "../host/exec/abort-reason.ts";
import { type HelperRequest, helperAnswer } from "./requests.ts";

type WithoutId<Request> = Request extends unknown ? Omit<Request, "id"> : never;
export type HelperCall = WithoutId<HelperRequest>;

export interface HelperClientOptions {
  /** The helper's socket. */
  path: string;
  /** This program's; a helper of another one would be asked wrongly. */
  version: string;
  /** How long a connection is kept without use, in milliseconds. The helper ends with it. */
  idleMs?: number;
  /** How long a helper may take until it listens, in milliseconds: a former one may have to end first. */
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

/** Bytes of one line of the helper's: the programs of all of an app's runs, or a long message with its evidence. */
const longestAnswer = 32 * 1024 * 1024;

/** The agent's side of the border: a connection when there is something to ask, and none after a while without. */
export class HelperClient {
  readonly #options: HelperClientOptions;
  #connection: Promise<Connection> | undefined;

  constructor(options: HelperClientOptions) {
    this.#options = options;
  }

  /** @throws CutoverError what the helper answers, helper_unreachable, aborted */
  async call<T>(call: HelperCall, { signal, onOutput }: CallOptions = {}): Promise<T> {
    if (signal?.aborted) throw abortion(signal);
    const connection = await this.#open();
    try {
      // The helper is root's and of this version: what it answers is what its side of the border returns.
      return (await connection.ask(call, signal, onOutput)) as T;
    } catch (thrown) {
      if (signal?.aborted) throw abortion(signal);
      throw thrown;
    }
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
    throw unreachable(path, `the helper is version ${theirs}, and the agent ${version}`, "Restart the agent.");
  } finally {
    clearTimeout(slow);
  }
}

class Connection {
  /** The helper's version, when it is ready. */
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

  ask(call: HelperCall, signal: AbortSignal | undefined, onOutput: OutputListener | undefined): Promise<unknown> {
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

function unreachable(path: string, why: string, fix?: string): CutoverError {
  return new CutoverError("helper_unreachable", `The helper cannot be asked: ${why} (${path}).`, {
    unchanged: "What was begun is undone or finished when the helper answers again; the sites go on serving.",
    fix: fix ?? "Look at `systemctl status cutover-helper.socket` and the helper's log, and at `helper` in agent.yml.",
  });
}
