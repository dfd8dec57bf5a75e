import { createHash, randomBytes } from "node:crypto";

/** How long the address with a token can be opened, and how long a browser may then use the page, in milliseconds. */
export const tokenMs = 10 * 60_000;
export const sessionMs = 12 * 3_600_000;

/**
 * Who may see the page: whoever opened an address with a token that was not used before. Only hashes are kept, and they are
 * looked up as a whole, so that no comparison tells by its time how much of a guess was right.
 */
export class Sessions {
  /** Cookies know no ports: pages of several hosts, forwarded to one computer, need names of their own. */
  readonly cookie = `cutover_${randomBytes(4).toString("hex")}`;
  readonly #now: () => number;
  readonly #sessions = new Map<string, number>();
  #token: { hash: string; until: number } | undefined;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** A token for one browser. One that was made before and not used is not valid any more. */
  newToken(): string {
    const token = randomBytes(32).toString("base64url");
    this.#token = { hash: hashOf(token), until: this.#now() + tokenMs };
    return token;
  }

  /** @returns the secret for the browser's cookie; undefined if the token is not valid, or was used */
  spend(token: string): string | undefined {
    const expected = this.#token;
    if (expected === undefined || hashOf(token) !== expected.hash) return undefined;
    this.#token = undefined;
    if (expected.until <= this.#now()) return undefined;
    const secret = randomBytes(32).toString("base64url");
    this.#sessions.set(hashOf(secret), this.#now() + sessionMs);
    return secret;
  }

  /** @param secret the cookie as it came */
  has(secret: string | undefined): boolean {
    if (secret === undefined) return false;
    const until = this.#sessions.get(hashOf(secret));
    return until !== undefined && until > this.#now();
  }
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}
