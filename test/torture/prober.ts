import { request } from "node:http";

/** What visitors with new connections got, by answer. A failure is an answer too. */
export interface Seen {
  requests: number;
  releases: Set<string>;
  failures: string[];
}

const everyMs = 40;
const timeoutMs = 20_000;

/** Sends requests at fixed times, whatever happens to earlier ones, each once on a connection of its own. */
export class Prober {
  readonly #site: string;
  readonly #underWay = new Set<Promise<void>>();
  #seen: Seen = { requests: 0, releases: new Set(), failures: [] };
  #timer: NodeJS.Timeout | undefined;

  /** @param site such as http://127.0.0.1:8080 */
  constructor(site: string) {
    this.#site = site;
  }

  start(): void {
    this.#seen = { requests: 0, releases: new Set(), failures: [] };
    this.#timer = setInterval(() => this.#ask(), everyMs);
  }

  async stop(): Promise<Seen> {
    clearInterval(this.#timer);
    await Promise.all(this.#underWay);
    return this.#seen;
  }

  #ask(): void {
    const seen = this.#seen;
    seen.requests++;
    const asked = releaseOf(this.#site)
      .then((release) => void seen.releases.add(release))
      .catch((error: Error) => void seen.failures.push(error.message))
      .finally(() => this.#underWay.delete(asked));
    this.#underWay.add(asked);
  }
}

/** The release that answers. @throws Error that says what came instead */
export function releaseOf(site: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request(`${site}/version`, { agent: false, timeout: timeoutMs }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.on("error", reject);
      response.on("end", () => {
        const release = /^\S+ \d+ (\S+)\s*$/.exec(text)?.[1];
        if (response.statusCode === 200 && release !== undefined) resolve(release);
        else reject(new Error(`status ${response.statusCode}`));
      });
    });
    call.on("timeout", () => call.destroy(new Error("timeout")));
    call.on("error", reject);
    call.end();
  });
}
