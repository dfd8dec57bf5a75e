import { setTimeout as sleep } from "node:timers/promises";
import { getCookie } from "hono/cookie";
import { streamSSE } from "hono/streaming";
import { asCutoverError } from "../../shared/errors.ts";
import type { PageCall } from "./guard.ts";
import { type Html, html, rendered } from "./html.ts";
import type { Sessions } from "./session.ts";

const everyMs = 1000;
/** A browser holds one for each tab. */
const most = 24;

/** Sends to each open tab the parts of its page that have changed. */
export class Streams {
  #open = 0;

  readonly #sessions: Sessions;

  constructor(sessions: Sessions) {
    this.#sessions = sessions;
  }

  /**
   * Until the tab is closed, or its session ends.
   * @param look the parts now, by the ids of their elements
   */
  answer(c: PageCall, look: () => Promise<Record<string, Html>>): Response {
    const secret = getCookie(c, this.#sessions.cookie);
    if (this.#open >= most) return c.text("Too many tabs are open.", 503);
    this.#open += 1;
    const response = streamSSE(c, async (stream) => {
      const sent = new Map<string, string>();
      try {
        while (!stream.aborted && !stream.closed && this.#sessions.has(secret)) {
          for (const [id, markup] of Object.entries(await partsOf(look))) {
            const text = await rendered(markup);
            if (sent.get(id) === text) continue;
            sent.set(id, text);
            await stream.writeSSE({ event: "part", data: JSON.stringify({ id, html: text }) });
          }
          await sleep(everyMs);
        }
      } finally {
        this.#open -= 1;
      }
    });
    return response;
  }
}

/** While the agent does not answer, the page says so and stays as it is. */
async function partsOf(look: () => Promise<Record<string, Html>>): Promise<Record<string, Html>> {
  try {
    return { ...(await look()), lost: html`` };
  } catch (thrown) {
    return { lost: html`${asCutoverError(thrown).message}` };
  }
}
