import type { Duplex } from "node:stream";
import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import { asCutoverError, type CutoverError } from "../../shared/errors.ts";
import { LineSplitter } from "../../shared/lines.ts";
import { parseJson } from "../../shared/plain-json.ts";
import { toFailure } from "../../shared/protocol.ts";
import type { Logger } from "../logger.ts";
import { refused } from "./guarded-host.ts";
import { type HelperAnswer, type HelperRequest, longestRequest, mostAtOnce, parseMessage } from "./messages.ts";
import type { CallContext } from "./methods.ts";

export interface ConnectionOptions {
  /** Does what a request asks for. @returns its result */
  handle(request: HelperRequest, context: CallContext): Promise<unknown>;
  version: string;
  logger: Logger;
  /** How long running requests may take to end after the connection has ended, in milliseconds. */
  lastMs?: number;
}

/** Bytes of answers that the agent has not read. From `output` on, lines of output are dropped; at `end` the connection ends. */
const unread = { output: 4 * 1024 * 1024, end: 32 * 1024 * 1024 } as const;

/**
 * Serves one connection until it ends. What still runs then is aborted and waited for, but not without a limit: a program
 * may have minutes to stop, the next helper waits for this one, and whatever is cut short is done again.
 * @returns whether all that ran has ended
 */
export function serveConnection(socket: Duplex, options: ConnectionOptions): Promise<boolean> {
  const { handle, version, logger, lastMs = 10_000 } = options;
  const running = new Map<number, { abort: AbortController; done: Promise<void> }>();
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();

  const send = (answer: HelperAnswer) => {
    if (socket.writableLength > unread.end) socket.destroy();
    if (!socket.destroyed) socket.write(`${JSON.stringify(answer)}\n`);
  };
  const fail = (id: number, error: CutoverError) => {
    logger.warn({ err: error, id }, "not done");
    send({ id, error: toFailure(error) });
  };

  const serve = async (request: HelperRequest, signal: AbortSignal) => {
    const { id, method } = request;
    const onOutput = (source: string, line: string) => {
      if (socket.writableLength < unread.output) send({ id, output: [source, line] });
    };
    try {
      send({ id, result: await handle(request, { onOutput, signal }) });
      logger.debug({ id, method }, "done");
    } catch (thrown) {
      fail(id, asCutoverError(thrown));
    } finally {
      running.delete(id);
    }
  };

  const take = (line: string) => {
    const json = parseJson(line);
    const message = parseMessage(json);
    if (message === undefined) fail(idOf(json), refused("it is no request of its list"));
    else if ("cancel" in message) running.get(message.cancel)?.abort.abort();
    else begin(message);
  };

  const begin = (request: HelperRequest) => {
    const { id } = request;
    const abort = new AbortController();
    if (running.has(id)) fail(0, refused(`the id ${id} is in use`));
    else if (running.size >= mostAtOnce) fail(id, refused(`more than ${mostAtOnce} requests at once`));
    else running.set(id, { abort, done: setImmediate().then(() => serve(request, abort.signal)) });
  };

  const lines = new LineSplitter(take, { longest: longestRequest, tooLong: "refuse" });
  socket.on("data", (bytes: Buffer) => {
    try {
      lines.write(bytes);
    } catch (error) {
      fail(0, refused(error instanceof RangeError ? error.message : "it could not be read"));
      socket.destroy();
    }
  });
  for (const event of ["end", "close", "error"] as const) socket.once(event, () => end());
  send({ helper: version });
  return ended.then(async () => {
    const left = [...running.values()];
    for (const { abort } of left) abort.abort();
    const all = Promise.all(left.map(({ done }) => done)).then(() => true);
    const whole = await Promise.race([all, sleep(lastMs, false, { ref: false })]);
    socket.destroy();
    return whole;
  });
}

/** The id that a refused line has, so that the agent knows which of its requests was meant; 0 if it has none. */
function idOf(message: unknown): number {
  const id = (message as { id?: unknown } | null | undefined)?.id;
  return typeof id === "number" && Number.isSafeInteger(id) ? id : 0;
}
