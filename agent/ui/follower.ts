import type { DeploymentEvent, DeploymentView } from "../../shared/protocol.ts";
import type { PageSource } from "./source.ts";

const keptLines = 200;

/** Output and notices of each app's last deployment, from its events. */
export class Follower {
  readonly #agent: PageSource["agent"];
  readonly #followed = new Map<string, { deployment: string; lines: string[] }>();

  constructor({ agent }: PageSource) {
    this.#agent = agent;
  }

  /** What its events said so far. The first call begins to read them. */
  lines({ app, id }: DeploymentView): string[] {
    const known = this.#followed.get(app);
    if (known?.deployment === id) return known.lines;
    const followed = { deployment: id, lines: [] };
    this.#followed.set(app, followed);
    void this.#follow(id, followed.lines).catch(() => undefined);
    return followed.lines;
  }

  async #follow(id: string, lines: string[]): Promise<void> {
    for await (const event of this.#agent.events(id)) {
      const line = lineOf(event);
      if (line !== undefined) lines.push(line);
      if (lines.length > keptLines) lines.shift();
    }
  }
}

function lineOf(event: DeploymentEvent): string | undefined {
  if (event.type === "output") return `${event.source} | ${event.line}`;
  return event.type === "notice" ? event.message : undefined;
}
