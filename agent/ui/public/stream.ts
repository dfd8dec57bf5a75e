import { setTimeout as sleep } from "node:timers/promises";
import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import type { Parts } from "./looks.ts";

const everyMs = 1000;
/** A proxy ends a connection on which nothing comes for a while: nginx after a minute. */
const silentMs = 15_000;
/** After this the browser comes again by itself, so that no connection stays that nobody has. */
const longestMs = 10 * 60_000;
const most = 200;

/** Sends to each watcher the parts of its page that have changed. */
export class PublicStreams {
  #open = 0;

  /**
   * @param look the parts now
   * @param lost what the page says if they cannot be looked up
   * @param onOpen called if it is not one too many
   */
  answer(c: Context, { look, lost, onOpen }: { look(): Promise<Parts>; lost: string; onOpen(): void }): Response {
    if (this.#open >= most) return c.text("Too many are watching. Read the page again later.\n", 503);
    this.#open += 1;
    onOpen();
    const response = streamSSE(c, async (stream) => {
      const sent = new Map<string, string>();
      const until = performance.now() + longestMs;
      let last = performance.now();
      try {
        while (!stream.aborted && !stream.closed && performance.now() < until) {
          const parts = await look().then(
            (found): Parts => ({ ...found, lost: "" }),
            (): Parts => ({ lost }),
          );
          for (const [id, html] of Object.entries(parts)) {
            if (sent.get(id) === html) continue;
            sent.set(id, html);
            await stream.writeSSE({ event: "part", data: JSON.stringify({ id, html }) });
            last = performance.now();
          }
          if (performance.now() - last > silentMs) {
            await stream.write(": still here\n\n");
            last = performance.now();
          }
          await sleep(everyMs);
        }
      } finally {
        this.#open -= 1;
      }
    });
    // nginx would otherwise keep what comes until it has enough of it.
    response.headers.set("x-accel-buffering", "no");
    return response;
  }
}
