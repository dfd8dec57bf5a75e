import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeDurably } from "../store/durable.ts";

/** The webroot in which nginx finds the answers to ACME challenges. The agent writes there, and nobody else. */
export function challengesDirectory(data: string): string {
  return join(data, "acme", "challenges");
}

/** A file for each challenge that an authority may ask for now. */
export class ChallengeFiles {
  readonly #directory: string;

  constructor(data: string) {
    this.#directory = join(challengesDirectory(data), ".well-known", "acme-challenge");
  }

  /** @param token as the authority gave it: it becomes a file's name, so any other is refused */
  async put(token: string, answer: string): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    await writeDurably(this.#path(token), answer, 0o644);
  }

  async remove(token: string): Promise<void> {
    await rm(this.#path(token), { force: true });
  }

  #path(token: string): string {
    // The alphabet of RFC 8555, section 8.3.
    if (!/^[A-Za-z0-9_-]{1,255}$/.test(token)) throw new Error("the authority gave a challenge with an invalid token");
    return join(this.#directory, token);
  }
}
